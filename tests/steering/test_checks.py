"""The checks before a sweep hold for every operation and all positions, and fail where one is not what it says."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from steered import example
from steergauge.errors import InstrumentError
from steergauge.models.loading import Model, load_model
from steergauge.steering import checks
from steergauge.steering.checks import check_instrument
from steergauge.steering.engine import AnySteering, Generation, Request
from steergauge.steering.intervention import Intervention
from steergauge.steering.operation import Operation
from steergauge.steering.positions import Positions
from steergauge.steering.probe import Probe
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


class Parting:
    """An engine of other kernels, which writes another token where the reference has its best but one."""

    name, version, wave_rows = "other", "1", 1

    def __init__(self, model: Model, rank: int) -> None:
        self.model, self.rank = model, rank

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Generation]]:
        for index, made in list(TorchEngine(self.model).generate(requests)):
            ids = self.model.template.encode([requests[index].prompt], "cpu")["input_ids"]
            ids = torch.cat([ids, ids.new_tensor([made.tokens[:3]])], dim=1)
            ranked = self.model.forward(ids, torch.ones_like(ids))[0].argsort(descending=True)
            yield index, replace(made, tokens=(*made.tokens[:3], int(ranked[self.rank])))

    def probe(self, prompt: str, steering: AnySteering, block: int) -> Probe:
        return checks._probe(self.model, prompt, steering, block)


@pytest.mark.parametrize(("precision", "rank"), [("float32", 1), ("bfloat16", -1)])
def test_another_engine_may_part_from_the_reference_at_a_near_tie_alone(
    precision: str, rank: int, tiny_folder: Callable[[str], Path]
) -> None:
    model = load_model(str(tiny_folder("llama")), precision=precision, device="cpu")
    with pytest.raises(InstrumentError, match="at dose 0"):
        check_instrument(model, Parting(model, rank), PROMPT, steering(model, Operation.ADD))


def test_at_a_near_tie_it_is_told_by_how_much(
    tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_NEAR_TIE", 1000)
    model = load_model(str(tiny_folder("llama")), precision="bfloat16", device="cpu")
    first, *_ = check_instrument(model, Parting(model, 1), PROMPT, steering(model, Operation.ADD))
    assert first.detail.startswith("3 tokens equal to transformers' own generate, then a near-tie: logits ")
