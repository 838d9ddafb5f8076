"""What runs inside vLLM's workers: hooks on the decoder layers that steer every request by its own steering.

Nothing here imports vLLM, which imports it by name (`worker_extension_cls`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from steergauge.errors import InstrumentError
from steergauge.steering.intervention import Intervention
from steergauge.steering.steering import Steering
from steergauge.steering.vllm_stream import LayerOutput, decoder_layers, plus, residual_stream, stream_parts

MARK = "steergauge"
"""The key of a request's mark in its `SamplingParams.extra_args`."""


class Seen(NamedTuple):
    """What a worker saw of one row: its tokens that were steered at the first block, and its logits."""

    steered: int | None
    """None where another worker holds the row's first steered block."""
    finite: bool


class Watched(NamedTuple):
    """What left a layer, after steering, of the tokens (tokens,) at some positions.

    Attributes:
        streams: r_k, (tokens, width).
        magnitudes: the sizes of its parts added up, (tokens, width): what its rounding is in proportion to.
    """

    positions: NDArray[np.int64]
    streams: NDArray[np.float64]
    magnitudes: NDArray[np.float64]


@dataclass(frozen=True)
class _Step:
    """One forward pass: the row and position of each of its tokens, and what steers them."""

    rows: NDArray[np.int64]
    positions: NDArray[np.int64]
    intervention: Intervention


class RunnerSteering:
    """Steers what a model runner of vLLM (its V1) runs, and notes what it steered.

    Attributes of the runner that are used: `model`, `_prepare_inputs`, `requests`, and of its `input_batch`
    `req_ids` and `num_computed_tokens_cpu`.
    """

    def __init__(self, runner: Any, blocks: int, device: str) -> None:
        self._runner, self._device = runner, device
        self._layers = decoder_layers(runner.model, blocks)
        for block, layer in self._layers.items():
            layer.register_forward_hook(self._hook(block))
        self._prepare_inputs, runner._prepare_inputs = runner._prepare_inputs, self._prepared
        # Not a module, so not to be hooked.
        self._compute_logits, runner.model.compute_logits = runner.model.compute_logits, self._judged_logits
        self._step: _Step | None = None
        self._sampling: list[int] | None = None

    def load(
        self, steerings: Sequence[Steering], rows: Collection[int] = (), blocks: Collection[int] = ()
    ) -> None:
        """Takes the steerings of the next wave; what was noted of the last one goes.

        Args:
            steerings: of which each request names one.
            rows: those of which is kept what leaves a block.
            blocks: the blocks that it leaves.
        """
        self._watching = rows, blocks
        self._firsts = [one.first_block for one in steerings]
        self._table = Intervention(steerings, self._device)
        self._steered: dict[int, set[int]] = {}
        self._first_of: dict[int, int] = {}
        self._not_finite: set[int] = set()
        self._passed: list[_Step] = []
        self._logits: list[tuple[list[int], Tensor]] = []
        self._watched: dict[tuple[int, int], list[Watched]] = {}

    def watched(self) -> dict[tuple[int, int], Watched]:
        """What was kept of (row, block)."""
        return {
            key: Watched(*(np.concatenate(parts) for parts in zip(*kept, strict=True)))
            for key, kept in self._watched.items()
        }

    def report(self, fed: Mapping[int, int]) -> dict[int, Seen]:
        """What was seen of rows that have ended.

        Args:
            fed: how many tokens of each row had to go through the model. A scheduler that runs ahead may have
                fed the last one too, and a row that was preempted has fed some twice: neither counts.
        """
        self._settle()
        return {
            row: Seen(
                sum(position < tokens for position in self._steered.get(row, ()))
                if self._first_of[row] in self._layers
                else None,
                row not in self._not_finite,
            )
            for row, tokens in fed.items()
        }

    def _settle(self) -> None:
        """Reads what the passes so far left on the device: not at every step, which would wait for it."""
        for step in self._passed:
            counted = step.intervention.steered_tokens.cpu().numpy() > 0
            for row, position in zip(
                step.rows[counted].tolist(), step.positions[counted].tolist(), strict=True
            ):
                self._steered.setdefault(row, set()).add(position)
        for rows, finite in self._logits:
            self._not_finite.update(row for row, one in zip(rows, finite.tolist(), strict=True) if not one)
        self._passed, self._logits = [], []

    def _prepared(self, scheduled: Any, tokens: NDArray[np.int32]) -> Any:
        """Notes, beside vLLM's own preparation, whose tokens (one number a request) are about to run."""
        prepared = self._prepare_inputs(scheduled, tokens)
        batch = self._runner.input_batch
        marks = [self._runner.requests[name].sampling_params.extra_args[MARK] for name in batch.req_ids]
        self._first_of.update({mark["row"]: self._firsts[mark["steering"]] for mark in marks})

        def of_tokens(values: Sequence[int]) -> NDArray[np.int64]:
            return np.repeat(np.array(values, dtype=np.int64), tokens)

        before = batch.num_computed_tokens_cpu[: len(marks)]
        positions = np.concatenate(
            [np.arange(one, one + new) for one, new in zip(before, tokens, strict=True)]
        ).astype(np.int64)
        steered = positions >= of_tokens([mark["start"] for mark in marks])
        which = of_tokens([mark["steering"] for mark in marks])
        # Every token is a row of its own.
        intervention = self._table.for_rows(torch.from_numpy(which).to(self._device))
        intervention.expect(torch.from_numpy(steered).long().to(self._device)[:, None])
        self._step = _Step(of_tokens([mark["row"] for mark in marks]), positions, intervention)
        self._sampling = [mark["row"] for mark in marks]
        return prepared

    def _hook(self, block: int) -> Callable[..., LayerOutput | None]:
        def hook(_layer: nn.Module, _inputs: Any, output: LayerOutput) -> LayerOutput | None:
            return None if self._step is None else self._steer(block, self._step, output)

        return hook  # without a step, vLLM runs dry to measure memory

    def _steer(self, block: int, step: _Step, output: LayerOutput) -> LayerOutput:
        stream = residual_stream(output)
        if len(stream) != len(step.rows):
            raise InstrumentError(
                f"vLLM ran {len(stream)} tokens through block {block} where {len(step.rows)} were scheduled, so it "
                "cannot be told whose they are: use --engine torch"
            )
        steered = plus(output, step.intervention.addition(block, stream[:, None])[:, 0])
        self._keep(block, step, steered)
        if block == max(self._layers):
            self._passed.append(step)
            self._step = None
        return steered

    def _keep(self, block: int, step: _Step, output: LayerOutput) -> None:
        rows, blocks = self._watching
        if block not in blocks:
            return
        parts = torch.stack([part.double().cpu() for part in stream_parts(output)]).numpy()
        for row in set(rows).intersection(step.rows.tolist()):
            here = step.rows == row
            mine = parts[:, here]
            kept = Watched(step.positions[here], mine.sum(axis=0), np.abs(mine).sum(axis=0))
            self._watched.setdefault((row, block), []).append(kept)

    def _judged_logits(self, *arguments: Any, **keywords: Any) -> Tensor | None:
        """VLLM's logits, (requests, vocabulary), noted whether they are finite."""
        logits: Tensor | None = self._compute_logits(*arguments, **keywords)
        rows, self._sampling = self._sampling, None
        if logits is not None and rows is not None:
            if len(logits) != len(rows):
                raise InstrumentError(
                    f"vLLM made {len(logits)} rows of logits for {len(rows)} requests; without speculative decoding "
                    "there is one each"
                )
            self._logits.append((rows, torch.isfinite(logits.amax(dim=-1))))
        return logits


class SteeringWorker:
    """Mixed into vLLM's worker: the calls that the engine makes to every worker (`collective_rpc`)."""

    model_runner: Any
    device: torch.device

    def steergauge_attach(self, blocks: int) -> None:
        """Hooks the decoder layers of this worker; see `decoder_layers` for what is raised."""
        self._steergauge = RunnerSteering(self.model_runner, blocks, str(self.device))

    def steergauge_call(self, method: str, *arguments: Any) -> Any:
        """Calls a method of this worker's `RunnerSteering`."""
        return getattr(self._steergauge, method)(*arguments)
