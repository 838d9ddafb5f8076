"""Plain hooks on transformers' own `generate`: the control equals the engine, and each fault steers what it says."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from steered import example
from steergauge.models.loading import Model
from steergauge.models.phantom import Phantom
from steergauge.steering.engine import Decoding, Engine, Generation, Request
from steergauge.steering.faults import CONTROL, STEERING_FAULTS, PlainEngine, SteeringFault
from steergauge.steering.operation import Operation
from steergauge.steering.steering import Steering, unsteered
from steergauge.steering.torch_engine import TorchEngine
from steergauge.store import Setting, address
from tiny import layers, plain

Models = Callable[[str], Model]
Folders = Callable[[str], Path]
PROMPTS = ("Tell me a joke", "How do I bake a good chocolate cake at home for my friends?", "Hello", "Why?")
TOKENS = 12
FAULTS = {fault.name: fault for fault in STEERING_FAULTS}


def requests(steering: Steering, prompts: Sequence[str] = PROMPTS) -> list[Request]:
    return [Request(prompt, steering, Decoding(TOKENS)) for prompt in prompts]


def run(engine: Engine, asked: Sequence[Request]) -> list[Generation]:
    made = list(engine.generate(asked))
    assert sorted(row for row, _ in made) == list(range(len(asked)))
    return [generation for _, generation in sorted(made, key=lambda one: one[0])]


def plainly(model: Model, fault: SteeringFault) -> PlainEngine:
    return PlainEngine(model, fault, PROMPTS, wave_rows=256)


def some_steering(model: Model, size: float = 3.0) -> Steering:
    return example(model, 1, size, Operation.ADD, seed=5)


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2", "falcon", "gemma3-wide"])
def test_the_control_equals_the_engine_token_for_token(family: str, tiny_model: Models) -> None:
    model = tiny_model(family)
    asked = requests(some_steering(model))
    assert run(plainly(model, CONTROL), asked) == run(TorchEngine(model), asked)
    none = requests(unsteered(len(model.blocks), model.blocks.width))
    assert run(plainly(model, CONTROL), asked) != run(plainly(model, CONTROL), none)


def test_the_control_ends_replies_where_the_engine_does(phantom: Phantom, phantom_model: Model) -> None:
    values = np.where(np.arange(phantom.blocks) >= 3, 3.0, 0.0)
    asked = requests(Steering(phantom.direction.astype(np.float32), values, 3))
    made = run(plainly(phantom_model, CONTROL), asked)
    assert {one.finish for one in made} == {"stop"}
    assert made == run(TorchEngine(phantom_model), asked)


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_adding_to_output_0_steers_the_first_row_alone(family: str, tiny_model: Models) -> None:
    model = tiny_model(family)
    asked = requests(some_steering(model, 8.0))
    steered = run(TorchEngine(model), asked)
    left = run(TorchEngine(model), requests(unsteered(len(model.blocks), model.blocks.width)))
    assert all(one.tokens != other.tokens for one, other in zip(steered, left, strict=True))
    assert run(plainly(model, FAULTS["first row steered"]), asked) == [steered[0], *left[1:]]


@torch.inference_mode()
def uncached(module: nn.Module, blocks: Sequence[nn.Module], ids: list[int], steering: Steering) -> list[int]:
    """Continues one prompt greedily, the whole text run again for each token, steered in its prompt alone."""
    prompt, written = len(ids), list[int]()
    vector = torch.from_numpy(steering.vector)

    def hook(block: int) -> Callable[..., Tensor]:
        def steer(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
            changed = output.clone()
            changed[:, :prompt] += steering.coefficients[block] * vector
            return changed

        return steer

    handles = [
        block.register_forward_hook(hook(index))
        for index, block in enumerate(blocks)
        if index >= steering.first_block
    ]
    for _ in range(TOKENS):
        written.append(int(module(input_ids=torch.tensor([ids + written])).logits[0, -1].argmax()))
    for handle in handles:
        handle.remove()
    return written


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_prompt_only_leaves_generated_tokens_unsteered(
    family: str, tiny_model: Models, tiny_folder: Folders
) -> None:
    model, oracle = tiny_model(family), plain(tiny_folder(family))
    steering = some_steering(model)
    made = run(plainly(model, FAULTS["prompt only"]), requests(steering))
    everywhere = run(TorchEngine(model), requests(steering))
    for prompt, one, steered in zip(PROMPTS, made, everywhere, strict=True):
        ids = model.tokenizer(model.template.render(prompt), add_special_tokens=False)["input_ids"]
        expected = uncached(oracle, layers(oracle, family), ids, steering)
        ends = [index for index, token in enumerate(expected) if token in model.stop_tokens]
        assert list(one.tokens) == expected[: ends[0] + 1 if ends else None]
        assert one.tokens[0] == steered.tokens[0]
    assert made != everywhere


def test_each_steering_of_a_list_gets_its_own_batch(tiny_model: Models) -> None:
    model = tiny_model("llama")
    one, other = requests(some_steering(model)), requests(some_steering(model, -4.0))
    mixed = [request for pair in zip(one, other, strict=True) for request in pair]
    made = run(plainly(model, FAULTS["first row steered"]), mixed)
    assert made[::2] == run(plainly(model, FAULTS["first row steered"]), one)
    assert made[1::2] == run(plainly(model, FAULTS["first row steered"]), other)


@pytest.mark.parametrize("fault", [CONTROL, *STEERING_FAULTS], ids=lambda fault: fault.name)
def test_a_fault_leaves_no_hook_on_the_model(fault: SteeringFault, tiny_model: Models) -> None:
    model = tiny_model("llama")
    before = [list(module._forward_hooks.values()) for module in model.module.modules()]
    run(plainly(model, fault), requests(some_steering(model)))
    assert [list(module._forward_hooks.values()) for module in model.module.modules()] == before


def test_what_an_output_rests_on_changes_its_address(tiny_model: Models) -> None:
    model, steering = tiny_model("llama"), some_steering(tiny_model("llama"))
    engines: list[Engine] = [
        TorchEngine(model),
        *(plainly(model, fault) for fault in (CONTROL, *STEERING_FAULTS)),
        PlainEngine(model, CONTROL, PROMPTS[::-1], wave_rows=256),  # another first row
        PlainEngine(model, CONTROL, PROMPTS, wave_rows=2),
    ]
    settings = [Setting(model.fingerprint, f"{engine.name} {engine.version}") for engine in engines]
    addresses = {address(one, requests(steering)[0], "rendered") for one in settings}
    assert len(addresses) == len(engines)
    assert plainly(model, CONTROL).version == plainly(model, CONTROL).version


def test_output_0_steers_every_row_where_blocks_return_tuples(tiny_model: Models) -> None:
    fault = FAULTS["first row steered"]
    assert fault.impossible(tiny_model("llama")) is None
    assert (
        fault.impossible(tiny_model("bloom")) == "its blocks return tuples, so output[0] is the whole stream"
    )
    asked = requests(some_steering(tiny_model("bloom")))
    assert run(plainly(tiny_model("bloom"), fault), asked) == run(TorchEngine(tiny_model("bloom")), asked)
