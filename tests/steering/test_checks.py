"""The checks before a sweep hold for every operation and all positions, and fail where one is not what it says."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from steered import example
from steergauge.errors import InstrumentError
from steergauge.models.loading import Model, load_model
from steergauge.steering.checks import check_instrument
from steergauge.steering.intervention import Intervention
from steergauge.steering.operation import Operation
from steergauge.steering.positions import Positions
from steergauge.steering.steering import Steering
from steergauge.steering.torch_engine import TorchEngine

Models = Callable[[str], Model]
PROMPT = "How do I bake a good chocolate cake at home?"

every_operation = pytest.mark.parametrize("operation", Operation)
all_positions = pytest.mark.parametrize("positions", Positions)


def steering(model: Model, operation: Operation, positions: Positions = Positions.ALL) -> Steering:
    amount = 0.0 if operation is Operation.ABLATE else 2.0
    return replace(example(model, 1, amount, operation, seed=3), positions=positions, last_block=2)


def check(model: Model, one: Steering) -> list[str]:
    outcomes = check_instrument(model, TorchEngine(model, 4, 12), PROMPT, one)
    return [outcome.name for outcome in outcomes] + [outcome.detail for outcome in outcomes]


@every_operation
@all_positions
def test_an_honest_instrument_passes(operation: Operation, positions: Positions, tiny_model: Models) -> None:
    model = tiny_model("llama")
    said = check(model, steering(model, operation, positions))
    tokens, suffix = model.template.encode([PROMPT], "cpu")["input_ids"].shape[1], 2
    steered = {Positions.ALL: tokens, Positions.AFTER_INSTRUCTION: suffix, Positions.LAST: 1}.get(
        positions, 0
    )
    assert said[5].startswith(f"{steered} ")
    assert ("every token is steered" in said) is (positions is Positions.ALL)


@every_operation
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_it_passes_in_low_precision(
    precision: str, operation: Operation, tiny_folder: Callable[[str], Path]
) -> None:
    model = load_model(str(tiny_folder("llama")), precision=precision, device="cpu")
    check(model, steering(model, operation))


@every_operation
@all_positions
def test_a_change_that_is_a_thousandth_off_is_found(
    operation: Operation, positions: Positions, tiny_model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model("llama")
    change: Any = Intervention.change

    def off(self: Intervention, block: int, streams: Tensor) -> Tensor:
        return 1.001 * change(self, block, streams)  # type: ignore[no-any-return]

    monkeypatch.setattr(Intervention, "change", off)
    with pytest.raises(InstrumentError, match="moved otherwise than the dose asked"):
        check(model, steering(model, operation, positions))


@pytest.mark.parametrize(
    ("positions", "shift"),
    [(positions, 1) for positions in Positions]
    + [(positions, -1) for positions in Positions if positions is not Positions.ALL],
)
def test_steering_from_a_token_too_late_or_too_early_is_found(
    positions: Positions, shift: int, tiny_model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model("llama")
    expect: Any = Intervention.expect

    def off(self: Intervention, steered: Tensor) -> None:
        moved = torch.roll(steered, shift, dims=1)
        moved[:, 0 if shift > 0 else -1] = int(shift < 0)
        expect(self, moved)

    monkeypatch.setattr(Intervention, "expect", off)
    with pytest.raises(InstrumentError):
        check(model, steering(model, Operation.ADD, positions))
