"""What steers inside vLLM, on a model and a runner shaped like its own: vLLM is not needed."""

from typing import Any

import numpy as np
import pytest
import torch
from fused import BLOCKS, WIDTH, FusedModel, FusedRunner
from torch import Tensor, nn

from steered import by_definition
from steergauge.directions.random import random_unit_vector
from steergauge.errors import InstrumentError, SteergaugeError
from steergauge.steering.operation import Operation
from steergauge.steering.positions import Positions
from steergauge.steering.steering import Steering, unsteered
from steergauge.steering.vllm_stream import decoder_layers, plus, residual_stream
from steergauge.steering.vllm_worker import RunnerSteering, Seen, SteeringWorker

CONTROL = unsteered(BLOCKS, WIDTH)


def steering(operation: Operation, first: int, amount: float, *, last: int | None = None) -> Steering:
    coefficients = np.zeros(BLOCKS)
    if operation is not Operation.ABLATE:
        coefficients[first : None if last is None else last + 1] = amount
    vector = random_unit_vector(WIDTH, first + 1)
    # Not all tokens, so that starts matter: the tests choose them.
    return Steering(vector, coefficients, first, operation, last, Positions.GENERATED)


STEERINGS = [
    CONTROL,
    steering(Operation.ADD, 1, 2.0),
    steering(Operation.ROTATE, 0, 1.0),
    steering(Operation.CLAMP, 2, -3.0),
    steering(Operation.AFFINE, 3, 1.5),
    steering(Operation.ABLATE, 1, 0.0, last=2),
    steering(Operation.ADD, 2, -4.0, last=2),
]


@torch.inference_mode()
def by_hand(model: FusedModel, tokens: list[int], one: Steering, start: int) -> Tensor:
    """The last streams of tokens, (tokens, width), with the stream in one piece."""
    stream: Tensor = model.embed(torch.tensor(tokens))
    for block, layer in enumerate(model.layers):
        stream = stream + torch.tanh(layer.mix(stream))  # type: ignore[operator]
        if block in one.blocks:
            amount = float(one.coefficients[block])
            moved = by_definition(one.operation, torch.from_numpy(one.vector), amount, stream[start:])
            stream = torch.cat([stream[:start], moved])
    return stream


def attached(runner: FusedRunner, steerings: list[Steering]) -> RunnerSteering:
    worker = RunnerSteering(runner, BLOCKS, "cpu")
    worker.load(steerings)
    return worker


def test_every_request_of_a_step_is_steered_by_its_own_steering_from_its_own_start() -> None:
    runner = FusedRunner()
    worker = attached(runner, STEERINGS)
    for row, start in enumerate([0, 0, 2, 1, 0, 3, 4]):
        runner.add(f"r{row}", [row, 5, 2, 8, 1][: 3 + row % 3], row=row, steering=row, start=start)
    streams = runner.step({name: range(len(tokens)) for name, tokens in runner.tokens.items()})
    for row, one in enumerate(STEERINGS):
        mark = runner.requests[f"r{row}"].sampling_params.extra_args["steergauge"]
        expected = by_hand(runner.model, runner.tokens[f"r{row}"], one, mark["start"])
        torch.testing.assert_close(streams[f"r{row}"], expected, rtol=1e-5, atol=1e-5)
        fed = len(runner.tokens[f"r{row}"])
        assert worker.report({row: fed})[row] == Seen(max(0, fed - mark["start"]), finite=True)


def test_a_prompt_in_chunks_a_preempted_row_and_a_step_too_many_are_counted_once() -> None:
    runner = FusedRunner()
    worker = attached(runner, STEERINGS)
    runner.add("chunks", [1, 2, 3, 4, 5, 6, 7], row=0, steering=1, start=1)
    runner.add("preempted", [3, 1, 4, 1, 5], row=1, steering=3, start=2)
    runner.step({"chunks": range(3), "preempted": range(4)})
    runner.step({"chunks": range(3, 5)})
    again = runner.step({"preempted": range(4), "chunks": range(5, 6)})  # from its first token on
    runner.step({"chunks": range(6, 7), "preempted": range(4, 5)})  # its last token, which needs no feeding
    expected = by_hand(runner.model, [3, 1, 4, 1], STEERINGS[3], 2)
    torch.testing.assert_close(again["preempted"], expected, rtol=1e-5, atol=1e-5)
    assert worker.report({0: 6, 1: 4}) == {0: Seen(5, finite=True), 1: Seen(2, finite=True)}


def test_a_token_that_never_ran_is_missed() -> None:
    runner = FusedRunner()
    worker = attached(runner, STEERINGS)
    runner.add("r", [1, 2, 3, 4], row=0, steering=1)
    runner.step({"r": range(2)})
    runner.step({"r": range(3, 4)})
    assert worker.report({0: 4})[0].steered == 3


def test_the_steerings_of_a_wave_replace_the_last_ones_and_their_counts() -> None:
    runner = FusedRunner()
    worker = attached(runner, [STEERINGS[1]])
    runner.add("r", [1, 2, 3], row=0, steering=0)
    runner.step({"r": range(3)})
    worker.load([STEERINGS[3], STEERINGS[2]])
    assert worker.report({}) == {}
    runner.add("r", [1, 2, 3], row=0, steering=1)
    streams = runner.step({"r": range(3)})
    expected = by_hand(runner.model, [1, 2, 3], STEERINGS[2], 0)
    torch.testing.assert_close(streams["r"], expected, rtol=1e-5, atol=1e-5)
    assert worker.report({0: 3})[0].steered == 3


def test_vllms_own_dry_runs_stay_unsteered() -> None:
    runner = FusedRunner()
    attached(runner, STEERINGS)
    with torch.inference_mode():
        dry = runner.model(torch.tensor([1, 2]))
        runner.model.compute_logits(dry)
    torch.testing.assert_close(dry, by_hand(runner.model, [1, 2], CONTROL, 0))


def test_a_row_whose_logits_are_not_finite_is_told_from_the_others() -> None:
    runner = FusedRunner()
    worker = attached(runner, [CONTROL, steering(Operation.ADD, 0, np.inf)])
    runner.add("sound", [1, 2], row=0, steering=0)
    runner.add("broken", [1, 2], row=1, steering=1)
    runner.step({"sound": range(2), "broken": range(2)})
    assert {row: seen.finite for row, seen in worker.report({0: 2, 1: 2}).items()} == {0: True, 1: False}


def test_what_leaves_a_block_is_kept_of_the_rows_asked_for() -> None:
    runner = FusedRunner()
    worker = attached(runner, STEERINGS)
    worker.load(STEERINGS, [1], [BLOCKS - 1])
    runner.add("a", [1, 2, 3], row=0, steering=0)
    runner.add("b", [4, 5], row=1, steering=1)
    streams = [runner.step({"a": range(3), "b": range(1)})["b"], runner.step({"b": range(1, 2)})["b"]]
    kept = worker.watched()
    assert list(kept) == [(1, BLOCKS - 1)]
    watched = kept[1, BLOCKS - 1]
    assert watched.positions.tolist() == [0, 1]
    np.testing.assert_allclose(watched.streams, torch.cat(streams).numpy(), rtol=1e-5, atol=1e-6)
    assert (watched.magnitudes >= np.abs(watched.streams)).all()
    worker.load(STEERINGS)
    runner.step({"b": range(1)})
    assert worker.watched() == {}


def test_tokens_that_were_not_scheduled_are_refused() -> None:
    runner = FusedRunner()
    attached(runner, STEERINGS)
    runner.add("r", [1, 2, 3], row=0, steering=0)
    runner.input_batch.req_ids = ["r"]
    runner._prepare_inputs(None, np.array([2], dtype=np.int32))
    with pytest.raises(InstrumentError, match="3 tokens through block 0 where 2 were scheduled"):
        runner.model(torch.tensor([1, 2, 3]))


def test_more_logits_than_requests_are_refused() -> None:
    runner = FusedRunner()
    attached(runner, STEERINGS)
    runner.add("r", [1, 2, 3], row=0, steering=0)
    runner.input_batch.req_ids = ["r"]
    runner._prepare_inputs(None, np.array([3], dtype=np.int32))
    with pytest.raises(InstrumentError, match="3 rows of logits for 1 requests"):
        runner.model.compute_logits(torch.zeros(3, WIDTH))


def test_the_worker_passes_calls_on_to_its_runner() -> None:
    class Worker(SteeringWorker):
        def __init__(self) -> None:
            self.model_runner, self.device = FusedRunner(), torch.device("cpu")

    worker = Worker()
    worker.steergauge_attach(BLOCKS)
    worker.steergauge_call("load", STEERINGS)
    worker.model_runner.add("r", [1, 2, 3], row=0, steering=1)
    worker.model_runner.step({"r": range(3)})
    assert worker.steergauge_call("report", {0: 3}) == {0: Seen(3, finite=True)}


def test_where_another_worker_holds_the_first_block_nothing_is_counted() -> None:
    model = FusedModel()
    model.layers[0] = nn.Identity()  # as vLLM leaves a placeholder
    assert list(decoder_layers(model, BLOCKS)) == [1, 2, 3]
    model.layers[0].forward = lambda hidden, residual: (hidden, torch.zeros_like(hidden))
    runner = FusedRunner(model)
    worker = attached(runner, STEERINGS)
    runner.add("here", [1, 2], row=0, steering=1)
    runner.add("there", [1, 2], row=1, steering=2)
    runner.step({"here": range(2), "there": range(2)})
    assert worker.report({0: 2, 1: 2}) == {0: Seen(2, finite=True), 1: Seen(None, finite=True)}


def test_the_layers_of_a_model_that_also_sees_are_those_of_its_language_model() -> None:
    class Seeing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tower = nn.ModuleList(nn.Linear(2, 2) for _ in range(BLOCKS))
            self.text = FusedModel()

        def get_language_model(self) -> nn.Module:
            return self.text

    model = Seeing()
    assert list(decoder_layers(model, BLOCKS).values()) == list(model.text.layers)


def test_a_list_inside_a_layer_is_not_the_layers() -> None:
    model = FusedModel()
    model.layers[1].experts = nn.ModuleList(nn.Linear(2, 2) for _ in range(BLOCKS))
    assert list(decoder_layers(model, BLOCKS).values()) == list(model.layers)


@pytest.mark.parametrize("blocks", [BLOCKS + 1, BLOCKS])
def test_layers_that_are_not_one_list_are_refused(blocks: int) -> None:
    model: Any = nn.ModuleDict({"one": FusedModel(), "other": FusedModel()})
    with pytest.raises(SteergaugeError, match=f"{2 if blocks == BLOCKS else 0} lists of {blocks} layers"):
        decoder_layers(model, blocks)


def test_a_layers_tensor_alone_is_the_stream() -> None:
    stream, addition = torch.ones(2, 3), torch.full((2, 3), 0.5)
    assert residual_stream(stream).tolist() == stream.tolist()
    moved = plus(stream, addition)
    assert isinstance(moved, Tensor)
    assert moved.tolist() == (stream + addition).tolist()


@pytest.mark.parametrize(
    "output", [(torch.ones(2, 3), None), (torch.ones(2, 3), torch.ones(2, 4)), (1, 2, 3)]
)
def test_another_output_of_a_layer_is_refused(output: tuple[Any, ...]) -> None:
    with pytest.raises(SteergaugeError, match="was expected, so the model cannot be steered there"):
        residual_stream(output)


def test_half_precision_parts_are_added_in_float32() -> None:
    hidden, residual = torch.tensor([[1.0]]).bfloat16(), torch.tensor([[256.0]]).bfloat16()
    assert residual_stream((hidden, residual)).item() == 257.0  # which bfloat16 does not have
    steered = plus((hidden, residual), torch.tensor([[0.5]]))
    assert [part.item() for part in steered] == [1.5, 256.0]
    assert steered[1] is residual
