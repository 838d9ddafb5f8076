"""The steering faults: plain hooks and transformers' own batched `generate`, as a careless user writes them."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import transformers
from torch import Tensor, nn

from steergauge.activations.faults import always_possible, returns_no_tensors
from steergauge.models.blocks import BlockOutput, stream_of, with_stream
from steergauge.models.growing_text import decoded
from steergauge.models.loading import Model
from steergauge.steering.engine import AnySteering, Decoding, Generation, Request
from steergauge.steering.operation import Operation
from steergauge.steering.steering import Steering

Hook: TypeAlias = Callable[[nn.Module, tuple[Any, ...], BlockOutput], BlockOutput | None]


def added(addition: Tensor) -> Hook:
    """The hook without a mistake: the control."""
    return lambda _module, _inputs, output: with_stream(output, stream_of(output) + addition)


def added_to_first_row(addition: Tensor) -> Hook:
    """Adds to `output[0]` in place: of a bare tensor, the first row of the batch."""

    def hook(_module: nn.Module, _inputs: tuple[Any, ...], output: BlockOutput) -> None:
        output[0].add_(addition)

    return hook


def added_at_prefill(addition: Tensor) -> Hook:
    """Adds while the prompt runs, and not to the tokens that are generated."""

    def hook(_module: nn.Module, _inputs: tuple[Any, ...], output: BlockOutput) -> BlockOutput:
        stream = stream_of(output)
        prefill = stream.shape[1] > 1
        return with_stream(output, stream + addition) if prefill else output

    return hook


@dataclass(frozen=True)
class SteeringFault:
    """A mistake made when a right direction is added.

    Attributes:
        mistake: what is done wrong, in a sentence.
        hook: makes it, given what is to be added, (width,).
        impossible: says why it cannot be made on a model, or None where it can.
    """

    name: str
    mistake: str
    hook: Callable[[Tensor], Hook]
    impossible: Callable[[Model], str | None] = always_possible


CONTROL = SteeringFault("plain hooks", "None: the control of the steering faults.", added)
STEERING_FAULTS = (
    SteeringFault(
        "first row steered",
        "output[0].add_(v) on a bare tensor: of a batch only the first row is steered.",
        added_to_first_row,
        returns_no_tensors,
    ),
    SteeringFault(
        "prompt only",
        "The hook adds while the prompt runs, not to the tokens that are generated.",
        added_at_prefill,
    ),
)


class PlainEngine:
    """One hook a block, one vector a batch, and transformers' own `generate`.

    Adds α_k·û to the stream of every block from the first steered one on; knows no other operation. What the first
    row's neighbours are matters to one of the faults, so the batch is part of the version: prompts in their order,
    as many at a time as `wave_rows` says.
    """

    def __init__(self, model: Model, fault: SteeringFault, prompts: Sequence[str], wave_rows: int) -> None:
        self.model, self._hook = model, fault.hook
        self.name = f"careless {fault.name}" if fault is not CONTROL else fault.name
        self.wave_rows = min(wave_rows, len(prompts))
        batch = hashlib.sha256(json.dumps([self.wave_rows, *prompts]).encode()).hexdigest()
        self.version = (
            f"1 (torch {torch.__version__}, transformers {transformers.__version__}, batch {batch[:16]})"
        )

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Generation]]:
        """Yields the generations of each steering's requests when their batch has ended."""
        for same in _by_condition(requests):
            yield from zip(same, self._batch([requests[row] for row in same]), strict=True)

    @torch.inference_mode()
    def _batch(self, requests: Sequence[Request]) -> list[Generation]:
        model, decoding = self.model, requests[0].decoding
        greedy = model.greedy(decoding.max_new_tokens)
        if decoding.sampling:
            raise ValueError("the mistakes are made in greedy decoding")
        encoding = model.template.encode([request.prompt for request in requests], model.device)
        with ExitStack() as attached:
            for module, addition in self._additions(requests[0].steering):
                attached.callback(module.register_forward_hook(self._hook(addition)).remove)
            written = model.module.generate(**encoding, generation_config=greedy)  # type: ignore[operator]
        return [self._generation(row) for row in written[:, encoding["input_ids"].shape[1] :].tolist()]

    def _additions(self, steering: AnySteering) -> Iterator[tuple[nn.Module, Tensor]]:
        if not isinstance(steering, Steering) or steering.operation is not Operation.ADD:
            raise ValueError("the mistakes are made in adding to the stream")
        vector = torch.tensor(steering.vector, device=self.model.device)
        for block in range(steering.first_block, len(self.model.blocks)):
            addition = float(steering.coefficients[block]) * vector
            yield self.model.blocks.modules[block], addition.to(self.model.precision.dtype)

    def _generation(self, row: list[int]) -> Generation:
        ends = [index for index, token in enumerate(row) if token in self.model.stop_tokens]
        tokens = row[: ends[0] + 1] if ends else row
        text = decoded(self.model.tokenizer, tokens)
        return Generation(text, tuple(tokens), "stop" if ends else "length")


def _by_condition(requests: Sequence[Request]) -> list[list[int]]:
    """The places of the requests that one hook and one call of `generate` serve."""
    places: dict[tuple[str, Decoding], list[int]] = {}
    for row, request in enumerate(requests):
        steering = json.dumps(request.steering.identity(), sort_keys=True)
        places.setdefault((steering, request.decoding), []).append(row)
    return list(places.values())
