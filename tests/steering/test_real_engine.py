"""The reference engine on real small models, in float32, against transformers alone and against itself."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import GenerationConfig

from steered import example
from steergauge.activations.hooks import capture, measure_baseline
from steergauge.directions.dim import difference_in_means
from steergauge.models.blocks import reading
from steergauge.models.loading import Model, load_model
from steergauge.prompts import study_contrast_set, study_evaluation_set
from steergauge.steering.dose import Dose, DoseUnit, Yardsticks
from steergauge.steering.engine import Decoding, Generation, Request
from steergauge.steering.operation import Operation
from steergauge.steering.steering import Steering, steer, unsteered
from steergauge.steering.torch_engine import TorchEngine

pytestmark = pytest.mark.real

EVALUATION = tuple(prompt.text for prompt in study_evaluation_set().prompts)
# For a base model, which has no template of its own; without a BOS, so that none is rendered twice.
QUESTION = "{% for m in messages %}Question: {{ m.content }}\n{% endfor %}Answer:"
MODELS = {"qwen2.5-coder-0.5b": None, "smollm2-135m": None, "gemma-3-270m": QUESTION}
TOKENS = 40

every_model = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(scope="module")
def real_model() -> Callable[[str], Model]:
    return cache(lambda name: load_model(name, precision="float32", device="cpu", template=MODELS[name]))


@pytest.fixture(scope="module")
def coder(real_model: Callable[[str], Model]) -> Model:
    return real_model("qwen2.5-coder-0.5b")


@pytest.fixture(scope="module")
def yardsticks(coder: Model) -> Yardsticks:
    prompts = study_contrast_set()
    direction = difference_in_means(
        capture(coder, prompts.positive).at(-1), capture(coder, prompts.negative).at(-1)
    )
    baseline = measure_baseline(coder, EVALUATION[:8])
    return Yardsticks(direction, baseline.residual_norms, baseline.streams)


def none(model: Model) -> Steering:
    return unsteered(len(model.blocks), model.blocks.width)


def run(model: Model, requests: list[Request]) -> list[Generation]:
    made = dict(TorchEngine(model).generate(requests))
    return [made[index] for index in range(len(requests))]


@every_model
def test_streams_are_block_inputs_and_the_last_is_what_the_final_norm_reads(
    name: str, real_model: Callable[[str], Model]
) -> None:
    model = real_model(name)
    ids = model.template.encode([EVALUATION[0]], "cpu")["input_ids"]
    entering: list[Tensor] = []
    read: dict[int, Tensor] = {}
    modules: list[Any] = [*model.blocks.modules, model.blocks.final_norm]
    handles = [
        module.register_forward_pre_hook(
            lambda _module, inputs, keywords: entering.append(
                inputs[0] if inputs else keywords["hidden_states"]
            ),
            with_kwargs=True,
        )
        for module in modules
    ]
    try:
        with torch.inference_mode(), reading(model.blocks.modules, read.__setitem__):
            model.module(input_ids=ids)
    finally:
        for handle in handles:
            handle.remove()
    assert all(torch.equal(read[block], entering[block + 1]) for block in range(len(model.blocks)))


@every_model
def test_dose_zero_is_transformers_own_generation_token_for_token(
    name: str, real_model: Callable[[str], Model]
) -> None:
    model = real_model(name)
    prompts = list(EVALUATION[:4])
    zero = none(model)
    ours = run(model, [Request(prompt, zero, Decoding(24)) for prompt in prompts])
    encoding = model.template.encode(prompts, "cpu")
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=24,
        do_sample=False,
        repetition_penalty=1.0,
        eos_token_id=list(model.stop_tokens),
        pad_token_id=model.tokenizer.pad_token_id,
    )
    written = model.module.generate(**encoding, generation_config=config)  # type: ignore[operator]
    for made, row in zip(ours, written[:, encoding["input_ids"].shape[1] :].tolist(), strict=True):
        assert list(made.tokens) == row[: len(made.tokens)]
        assert made.finish == "stop" or len(made.tokens) == 24


def test_rows_of_a_mixed_batch_write_what_they_write_alone(coder: Model, yardsticks: Yardsticks) -> None:
    half = len(coder.blocks) // 2
    zero = none(coder)
    steerings = [
        zero,
        steer(Dose(1.0, DoseUnit.RAW), half, yardsticks),
        steer(Dose(3.0, DoseUnit.RAW), half, yardsticks),
        steer(Dose(8.0, DoseUnit.RAW), 7, yardsticks),
        steer(Dose(0.5, DoseUnit.RELATIVE), half + 2, yardsticks),
        steer(Dose(1.0, DoseUnit.SEPARATION), half, yardsticks),
        steer(Dose(-1.0, DoseUnit.SEPARATION), 16, yardsticks),
        steer(Dose(5.0, DoseUnit.CLAMP), half, yardsticks),
        steer(Dose(0.0, DoseUnit.CLAMP), 4, yardsticks),
        example(coder, half, 2.0, Operation.ADD, seed=1),
        example(coder, 20, 30.0, Operation.ADD, seed=2),
        example(coder, 10, 10.0, Operation.CLAMP, seed=3),
        zero,  # again: rows with one steering share what their prompts begin with
    ]
    limits = [TOKENS] * 10 + [9, 17, 25]
    requests = [
        Request(prompt, steering, Decoding(limit))
        for prompt, steering, limit in zip(EVALUATION, steerings, limits, strict=False)
    ]
    together = run(coder, requests)
    assert together == [run(coder, [request])[0] for request in requests]
    lengths = [len(made.tokens) for made in together]
    assert max(lengths) == TOKENS
    assert len(set(lengths)) > 3
    unlike = run(coder, [Request(one.prompt, zero, one.decoding) for one in requests])
    assert np.sum([one != other for one, other in zip(together, unlike, strict=True)]) >= 8
