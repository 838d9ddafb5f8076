"""Steering a quantised model: the instrument's checks hold, and doses, heads and writers are where they were."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from steered import example, run, steered_pass
from steergauge.activations import hidden_states, hooks
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.models.precision import Precision
from steergauge.models.quantizations import QUANTIZATIONS
from steergauge.models.writers import find_writers
from steergauge.steering.checks import check_instrument
from steergauge.steering.engine import Decoding, Request
from steergauge.steering.head_steering import HeadSteering
from steergauge.steering.operation import Operation
from steergauge.steering.steering import unsteered
from steergauge.steering.torch_engine import TorchEngine
from tiny import BLOCKS, HEADS

Models = Callable[[str], Model]
WIDTH = 64
PROMPTS = ["Tell me a joke", "How do I bake a good chocolate cake at home for my friends?", "Hello"]

# GGUF's types differ in their weights only.
DIFFERENT = [name for name in QUANTIZATIONS if not name.startswith("gguf")] + ["gguf-q4_0"]
every_quantization = pytest.mark.parametrize("name", DIFFERENT)


@every_quantization
def test_the_checks_of_the_instrument_pass(name: str, quantized_model: Models) -> None:
    model = quantized_model(name)
    heads = np.zeros((BLOCKS, HEADS, WIDTH // HEADS), dtype=np.float32)
    heads[1, 2] = 0.5
    for steering in (
        example(model, 1, 2.0, Operation.ADD, seed=3),
        example(model, 1, 0.0, Operation.ABLATE, seed=3),
        HeadSteering(heads),
    ):
        assert len(check_instrument(model, TorchEngine(model, 4, 12), PROMPTS[1], steering)) == 3


@every_quantization
def test_dose_0_writes_what_no_steering_writes_and_a_dose_writes_something_else(
    name: str, quantized_model: Models
) -> None:
    model = quantized_model(name)
    nothing, zero, steered = (
        run(model, [Request(prompt, steering, Decoding(12)) for prompt in PROMPTS])
        for steering in (
            unsteered(BLOCKS, WIDTH),
            example(model, 1, 0.0, Operation.ADD, seed=3),
            example(model, 1, 8.0, Operation.ADD, seed=3),
        )
    )
    assert zero == nothing
    assert all(one.tokens != other.tokens for one, other in zip(steered, nothing, strict=True))


@every_quantization
def test_a_dose_moves_the_first_stream_by_itself_and_later_ones_by_more(
    name: str, quantized_model: Models
) -> None:
    model = quantized_model(name)
    steering = example(model, 1, [2.0, 0.0, 0.0], Operation.ADD, seed=3)
    without = steered_pass(model, PROMPTS, [unsteered(BLOCKS, WIDTH)] * 3)
    found = steered_pass(model, PROMPTS, [steering] * 3)
    real = without.mask.bool()
    moved = (found.streams - without.streams)[:, real]  # (blocks, tokens, width)
    assert not moved[0].any()
    expected = 2.0 * torch.from_numpy(steering.vector).expand(moved[1].shape)
    torch.testing.assert_close(moved[1], expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(moved[3], expected, atol=0.1)


@every_quantization
def test_heads_and_writers_are_found_at_the_same_places(name: str, quantized_model: Models) -> None:
    model = quantized_model(name)
    assert (model.heads.count, model.heads.width) == (HEADS, WIDTH // HEADS)
    ids = model.template.encode(["Hello"], "cpu")["input_ids"]
    writers = find_writers(model.module, model.blocks, ids)
    for block, heads, writer in zip(model.blocks.modules, model.heads.modules, writers, strict=True):
        assert heads is block.get_submodule("self_attn.o_proj")
        assert writer.attention is block.get_submodule("self_attn")
        assert writer.mlp is block.get_submodule("mlp")


@every_quantization
def test_the_output_head_reads_the_last_states_in_one_piece(name: str, quantized_model: Models) -> None:
    model = quantized_model(name)
    seen: list[Tensor] = []
    head = model.module.get_output_embeddings()  # type: ignore[no-untyped-call]
    handle = head.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    encoding = model.template.encode(PROMPTS, "cpu")
    try:
        model.forward(encoding["input_ids"], encoding["attention_mask"])
    finally:
        handle.remove()
    assert seen[0].is_contiguous()
    assert seen[0].shape[1] == 1


@every_quantization
def test_a_copy_for_another_tool_reads_the_same_streams_and_cannot_be_cast(
    name: str, quantized_model: Models
) -> None:
    model = quantized_model(name)
    reference = hooks.capture(model, PROMPTS)
    np.testing.assert_array_equal(hidden_states.capture(model, PROMPTS).values, reference.values)
    with pytest.raises(SteergaugeError, match=f"are in {name} and cannot be cast to bfloat16: load it in"):
        hidden_states.own_copy(model, Precision.BFLOAT16)
    np.testing.assert_array_equal(hooks.capture(model, PROMPTS).values, reference.values)
