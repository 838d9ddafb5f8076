"""Where outputs part in half precision, and how near to a tie the two tokens were there.

    python -m benchmarks.near_ties [MODEL] [PRECISION] [ENGINE] [PROMPTS] [TOKENS]

Makes the same steered outputs in the torch engine in float32 and in a half precision, and in the half precision in
another engine. For every two it prints how many outputs are equal, how many labels, and of those that part the
difference of ln p between the two tokens, by the model in float32, steered alike.
"""

import gc
import sys
from collections.abc import Sequence
from itertools import takewhile

import numpy as np
import torch

from steergauge.models.loading import Model, load_model
from steergauge.steering.engine import Decoding, Generation, Request
from steergauge.steering.engines import EngineChoice, EngineName, running_engine
from steergauge.steering.intervene import intervene
from steergauge.steering.steering import unsteered
from steergauge.studies.model_judge import open_judge
from steergauge.studies.prepare import prepare
from steergauge.studies.readings import Readings
from steergauge.studies.run import Silent
from steergauge.studies.settings import GaugeSettings

DEPTHS, NORM_FRACTIONS = (0.4, 0.6), (0.05, 0.1)
JUDGES = ("study", "gauge")


def main(name: str, precision: str, engine: str, prompts: int, tokens: int) -> None:
    """Prints a line for every two ways."""
    model = load_model(name, precision="float32")
    requests = steered_requests(model, prompts, tokens)
    made = {"torch float32": run(model, EngineName.TORCH, requests)}
    half = load_model(name, precision=precision)
    for chosen in dict.fromkeys((EngineName.TORCH, EngineName(engine))):
        made[f"{chosen} {precision}"] = run(half, chosen, requests)
    del half
    gc.collect()
    names = list(made)
    pairs = [(one, other) for place, one in enumerate(names) for other in names[place + 1 :]]
    for one, other in pairs:
        report(model, requests, one, other, made[one], made[other])


def steered_requests(model: Model, prompts: int, tokens: int) -> list[Request]:
    """Unsteered, and DIM at two depths and two doses, on the first prompts."""
    settings = GaugeSettings(depths=DEPTHS, norm_fractions=NORM_FRACTIONS)
    planned = prepare(model, settings, Readings(), Silent()).conditions
    steerings = [unsteered(len(model.blocks), model.blocks.width), *(one.steering for one in planned)]
    asked = settings.evaluation_set.prompts[:prompts]
    return [Request(prompt.text, steering, Decoding(tokens)) for steering in steerings for prompt in asked]


def run(model: Model, engine: EngineName, requests: Sequence[Request]) -> list[Generation]:
    """An engine's outputs, in the order of the requests."""
    longest = max(request.decoding.max_new_tokens for request in requests)
    with running_engine(EngineChoice(engine, "asked for"), model, None, longest) as running:
        made = dict(running.generate(requests))
    return [made[place] for place in range(len(requests))]


def report(  # noqa: PLR0917
    model: Model,
    requests: Sequence[Request],
    one: str,
    other: str,
    ours: Sequence[Generation],
    theirs: Sequence[Generation],
) -> None:
    """Prints how two ways compare; the model is the one in float32."""
    parted = [
        margin(model, request, mine.tokens, its.tokens)
        for request, mine, its in zip(requests, ours, theirs, strict=True)
        if mine.tokens != its.tokens
    ]
    print(f"{one} and {other}: {len(requests) - len(parted)} of {len(requests)} outputs equal")
    for name in JUDGES:
        judge = open_judge(name, model.device)
        same = sum(
            judge.judge(mine.text).label == judge.judge(its.text).label
            for mine, its in zip(ours, theirs, strict=True)
        )
        print(f"  labels of {name}: {same} of {len(requests)} equal")
    if parted:
        middle, most = np.median(parted), max(parted)
        print(f"  where they part: |ln p − ln p'| median {middle:.3f}, most {most:.3f}")


@torch.inference_mode()
def margin(model: Model, request: Request, ours: Sequence[int], theirs: Sequence[int]) -> float:
    """|ln p − ln p'| of the two first tokens that differ, or of a token and the end of the other output."""
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False)))
    stop = model.stop_tokens[0]
    pair = [one[shared] if shared < len(one) else stop for one in (ours, theirs)]
    prompt = model.template.encode([request.prompt], model.device)["input_ids"]
    ids = torch.cat([prompt, prompt.new_tensor([list(ours[:shared])])], dim=1)
    intervention = intervene([request.steering], model)
    with intervention.attached(model.blocks):
        intervention.expect(torch.ones_like(ids))
        logits = model.forward(ids, torch.ones_like(ids))[0].double()
    first, second = torch.log_softmax(logits, dim=-1)[pair].tolist()
    return float(abs(first - second))


if __name__ == "__main__":
    given = sys.argv[1:]
    defaults = ["qwen2.5-coder-0.5b", "bfloat16", "vllm", "6", "24"]
    name, precision, engine, prompts, tokens = [*given, *defaults[len(given) :]]
    main(name, precision, engine, int(prompts), int(tokens))
