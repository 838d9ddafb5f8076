"""Rows that are steered on heads, through the engine, beside rows that are steered on the stream."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from steered import example
from steergauge.activations.heads import capture_heads
from steergauge.directions.iti import inference_time_intervention
from steergauge.errors import InstrumentError
from steergauge.models.heads import Heads
from steergauge.models.loading import Model
from steergauge.models.phantom import ANSWER_REPLY, REFUSAL_REPLY, Phantom
from steergauge.prompts import study_contrast_set, study_evaluation_set
from steergauge.steering.checks import check_instrument
from steergauge.steering.engine import AnySteering, Decoding, Generation, Request
from steergauge.steering.head_dose import written_to_stream
from steergauge.steering.head_intervention import HeadIntervention
from steergauge.steering.head_steering import HeadSteering, steer_heads
from steergauge.steering.intervene import MixedIntervention, intervene
from steergauge.steering.intervention import Intervention
from steergauge.steering.operation import Operation
from steergauge.steering.steering import unsteered
from steergauge.steering.torch_engine import TorchEngine
from steergauge.store import Addressed, Setting, Store, address
from tiny import BLOCKS, HEADS, WIDTH, head_outputs, plain

Models = Callable[[str], Model]
EVALUATION = tuple(prompt.text for prompt in study_evaluation_set().prompts)
TOKENS = 8


def on_heads(heads: Sequence[tuple[int, int]], length: float, seed: int) -> HeadSteering:
    """A random addition of that length to each of some heads of a tiny model."""
    zero = np.zeros((BLOCKS, HEADS, WIDTH // HEADS), dtype=np.float32)
    for head in heads:
        zero[head] = length
    return HeadSteering(zero).with_random_vectors(seed) if heads else HeadSteering(zero)


def run(model: Model, requests: Sequence[Request]) -> list[Generation]:
    made = dict(TorchEngine(model).generate(requests))
    return [made[row] for row in range(len(requests))]


def mixed_requests(model: Model) -> list[Request]:
    """Rows of both kinds; two of them share a steering, and one has every head at dose 0."""
    none, twice = unsteered(BLOCKS, WIDTH), on_heads([(0, 1), (2, 3)], 6.0, seed=0)
    steerings: list[AnySteering] = [
        none,
        twice,
        example(model, 1, 2.0, Operation.ADD, seed=1),
        on_heads([(3, 0)], 20.0, seed=2),
        example(model, 2, 4.0, Operation.CLAMP, seed=3),
        on_heads([], 0.0, seed=4),
        twice,
        none,
    ]
    return [
        Request(prompt, steering, Decoding(TOKENS - row % 3))
        for row, (prompt, steering) in enumerate(zip(EVALUATION, steerings, strict=False))
    ]


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3-text", "falcon", "bloom"])
def test_rows_on_heads_and_on_the_stream_write_in_one_batch_what_each_writes_alone(
    family: str, tiny_model: Models, tiny_folder: Callable[[str], Path]
) -> None:
    model, oracle = tiny_model(family), plain(tiny_folder(family))
    model = dataclasses.replace(model, stop_tokens=())
    requests = mixed_requests(model)
    together = run(model, requests)
    assert together == [run(model, [request])[0] for request in requests]
    for request, made in zip(requests, together, strict=True):
        if isinstance(request.steering, HeadSteering) or request.steering.changes_nothing:
            ids = model.template.encode([request.prompt], "cpu")["input_ids"]
            expected = uncached(oracle, head_outputs(oracle, family), ids, request)
            assert list(made.tokens) == expected
    control = [dataclasses.replace(request, steering=requests[0].steering) for request in requests]
    same = [one == other for one, other in zip(together, run(model, control), strict=True)]
    assert [same[row] for row in (0, 5, 7)] == [True] * 3
    assert sum(same) < len(same) - 2


@torch.inference_mode()
def uncached(model: nn.Module, modules: Sequence[nn.Module], ids: Tensor, request: Request) -> list[int]:
    """One prompt (1, tokens) continued greedily, the whole text run again for each token."""
    steering = request.steering

    def hook(block: int) -> Callable[..., Any]:
        def steer(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            changed = inputs[0].clone()
            if isinstance(steering, HeadSteering):
                changed[:, ids.shape[1] - 1 :] += torch.from_numpy(steering.additions[block].reshape(-1))
            return (changed,)

        return steer

    handles = [module.register_forward_pre_hook(hook(block)) for block, module in enumerate(modules)]
    written: list[int] = []
    for _ in range(request.decoding.max_new_tokens):
        sequence = torch.cat([ids, torch.tensor([written], dtype=torch.long)], dim=1)
        written.append(int(model(sequence, use_cache=False).logits[0, -1].argmax()))
    for handle in handles:
        handle.remove()
    return written


def planted(model: Model) -> HeadSteering:
    """One σ to three of the phantom's heads, which all read and write its direction."""
    contrast = study_contrast_set()
    readings = (capture_heads(model, prompts) for prompts in (contrast.positive, contrast.negative))
    return steer_heads(inference_time_intervention(*readings), dose=1.0, count=3)


def test_the_phantoms_replies_flip_at_the_dose_that_is_known_in_closed_form(
    phantom_model: Model, phantom: Phantom
) -> None:
    one = planted(phantom_model)
    shift = float(written_to_stream(one, phantom_model)[0] @ phantom.direction)
    doses = [(phantom.threshold - phantom.component(prompt)) / shift for prompt in EVALUATION]
    requests = [
        Request(prompt, HeadSteering(np.float32(side * dose) * one.additions), Decoding(12))
        for side in (0.99, 1.01)
        for prompt, dose in zip(EVALUATION, doses, strict=True)
    ]
    texts = [made.text for made in run(phantom_model, requests)]
    assert texts == [ANSWER_REPLY] * len(EVALUATION) + [REFUSAL_REPLY] * len(EVALUATION)


def test_prompts_that_begin_alike_share_it_under_one_head_steering(phantom_model: Model) -> None:
    shapes: list[tuple[int, int]] = []
    steerings: list[AnySteering] = [planted(phantom_model), unsteered(6, phantom_model.blocks.width)]
    requests = [
        Request("Tell me " + rest, steering, Decoding(2))
        for rest in ("a joke", "what to cook this week", "why")
        for steering in steerings
    ]
    handle = phantom_model.blocks.modules[0].register_forward_hook(
        lambda _module, _inputs, output: shapes.append(tuple(output.shape[:2]))
    )
    try:
        together = run(phantom_model, requests)
    finally:
        handle.remove()
    assert shapes[:2] == [(2, 4), (6, 7)]
    assert together == [run(phantom_model, [request])[0] for request in requests]


def test_a_batch_without_heads_asks_nothing_of_them(phantom_model: Model) -> None:
    stream, heads = unsteered(6, phantom_model.blocks.width), planted(phantom_model)
    assert isinstance(intervene([stream], phantom_model), Intervention)
    assert isinstance(intervene([stream, heads], phantom_model), MixedIntervention)


def not_attached(_self: HeadIntervention, _heads: Heads) -> Any:
    return contextlib.nullcontext()


def test_heads_that_were_not_steered_are_an_error(
    phantom_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    steering = planted(phantom_model)
    monkeypatch.setattr(HeadIntervention, "attached", not_attached)
    with pytest.raises(InstrumentError, match=r"\[0\] tokens went through .* where \[2\] should have"):
        run(phantom_model, [Request(EVALUATION[0], steering, Decoding(2))])


@pytest.mark.parametrize("family", ["llama", "bloom"])
def test_the_instrument_is_checked_at_the_heads(family: str, tiny_model: Models) -> None:
    model = dataclasses.replace(tiny_model(family), stop_tokens=())
    steering = on_heads([(1, 2), (3, 0)], 6.0, seed=0)
    outcomes = check_instrument(model, TorchEngine(model), EVALUATION[0], steering)
    assert outcomes[1].name == "a dose moves the heads by what was asked"
    assert outcomes[1].detail.startswith("2 heads, from block 1 on")
    assert outcomes[2].detail.startswith("1 of ")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda change: 1.01 * change, "the heads of block 1 of .* moved otherwise than the dose asked"),
        (lambda change: change.nan_to_num() + torch.inf, "moved otherwise|not finite"),
    ],
)
def test_a_dose_that_does_not_arrive_at_the_heads_is_an_error(
    fault: Callable[[Tensor], Tensor], message: str, tiny_model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = dataclasses.replace(tiny_model("llama"), stop_tokens=())
    apply = HeadIntervention._apply
    monkeypatch.setattr(
        HeadIntervention,
        "_apply",
        lambda self, block, outputs: outputs + fault(apply(self, block, outputs) - outputs),
    )
    with pytest.raises(InstrumentError, match=message):
        check_instrument(model, TorchEngine(model), EVALUATION[0], on_heads([(1, 2)], 6.0, seed=0))


def test_the_store_keeps_what_was_added_to_heads_and_finds_the_generation_again(
    phantom_model: Model, tmp_path: Path
) -> None:
    setting = Setting("model", "engine")
    request = Request(EVALUATION[0], planted(phantom_model), Decoding(2))
    other = dataclasses.replace(request, steering=unsteered(6, phantom_model.blocks.width))
    made = Generation("text", (1, 2), "length")
    key = address(setting, request, "rendered")
    assert key != address(setting, other, "rendered")
    with Store(tmp_path / "steergauge.db") as store:
        store.add(setting, [(Addressed(key, request, "rendered"), made)])
        assert store.get([key]) == {key: made}
        kept = store._database.execute("SELECT float32 FROM vectors").fetchall()
    assert isinstance(request.steering, HeadSteering)
    assert kept == [(request.steering.additions.tobytes(),)]
