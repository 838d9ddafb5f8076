"""Forward passes under intervention, in which candidates are rows of one batch.

Below its first edit a row is its prompt, unsteered. So a batch begins at the first block that one of its rows is edited
at, with streams that ran up to it once a prompt.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from steergauge.directions.edits import Edit, RowEdits
from steergauge.models.blocks import BlockOutput, reading
from steergauge.models.loading import Model
from steergauge.models.parts import Reached, beginning_at, ending_before, outputs_of
from steergauge.models.writers import find_writers

Progress = Callable[[int, int], None]
"""Told how many rows are done, and of how many."""

# Bounds the memory of a pass and fills a processor. Fixed: in low precision a reading depends on its batch, and
# so must not depend on the memory at hand.
_TOKENS_A_PASS = 2048


class Job(NamedTuple):
    """Prompts to run under one intervention, or under none: a row each."""

    prompts: tuple[str, ...]
    edit: Edit | None


class Reading(NamedTuple):
    """What a job gives at the last position.

    Attributes:
        hidden: h_j of the layers asked for, (prompts, layers, width).
        logits: (prompts, vocabulary); without vocabulary where they were not asked for.
    """

    hidden: NDArray[np.float64]
    logits: NDArray[np.float32]


@dataclass(frozen=True)
class _Part:
    """Rows that ran as far as a block.

    Attributes:
        block: the next one.
        stream: p_block, (rows, tokens, width); None before the first.
        ends: h_j at the last position, (rows, width), of the layers asked for that are behind.
    """

    block: int = 0
    stream: Tensor | None = None
    ends: dict[int, Tensor] = field(default_factory=dict)

    def rows(self, which: Tensor | slice) -> "_Part":
        """Some of the rows, or one several times."""
        stream = None if self.stream is None else self.stream[which]
        return _Part(self.block, stream, {layer: end[which] for layer, end in self.ends.items()})


class SharedPasses:
    """Runs jobs in as few forward passes as memory allows, and counts them.

    h_j is what `transformers` calls `hidden_states[j+1]`: r_j as block j returns it, before an edit at p_{j+1}; for the
    last block, final_norm(r_{N−1}), as in COSMIC's official code.

    Args:
        model: what runs.
        layers: j of the h_j to be read.
        logits: whether logits are read too; without, a pass ends behind the last of these layers.
    """

    def __init__(self, model: Model, layers: Sequence[int], *, logits: bool = True) -> None:
        self.model = model
        self.passes = 0
        self.rows = 0
        behind = max(layers, default=-1) + 1
        self._layers = layers
        self._until = None if logits or behind == len(model.blocks) else behind

    def run(self, jobs: Sequence[Job], progress: Progress | None = None) -> Iterator[Reading]:
        """Yields each job's reading, in the order of the jobs; in the order of their layers they share most.

        Raises:
            SteergaugeError: a job edits everywhere, and the modules that write to the stream are not found.
        """
        model = self.model
        prompts = list(dict.fromkeys(prompt for job in jobs for prompt in job.prompts))
        encoding = model.template.encode(prompts, model.device)
        ids, mask = encoding["input_ids"], encoding["attention_mask"]  # (distinct prompts, tokens)
        rows = [(prompts.index(prompt), job.edit) for job in jobs for prompt in job.prompts]
        rows_a_pass = max(1, _TOKENS_A_PASS // ids.shape[1])
        waiting = deque(jobs)
        held: deque[tuple[NDArray[np.float64], NDArray[np.float32]]] = deque()
        unsteered = _Part()
        for start in range(0, len(rows), rows_a_pass):
            batch = rows[start : start + rows_a_pass]
            places = torch.tensor([place for place, _ in batch], device=model.device)
            edits = [edit for _, edit in batch]
            unsteered = self._up_to(min(map(_first_block, edits)), unsteered, ids, mask, rows_a_pass)
            read = self._read(ids[places], mask[places], edits, unsteered.rows(places))
            self.passes, self.rows = self.passes + 1, self.rows + len(batch)
            held.extend(zip(*read, strict=True))
            if progress:
                progress(start + len(batch), len(rows))
            while waiting and len(held) >= len(waiting[0].prompts):
                hidden, logits = zip(*(held.popleft() for _ in waiting.popleft().prompts), strict=True)
                yield Reading(np.stack(hidden), np.stack(logits))

    def _up_to(self, block: int, unsteered: _Part, ids: Tensor, mask: Tensor, rows_a_pass: int) -> _Part:
        """The distinct prompts as far as a block, from where they are if that is not behind it."""
        if not block or self._outputs is None:
            return _Part()
        if block < unsteered.block:
            unsteered = _Part()
        if block == unsteered.block:
            return unsteered
        parts = []
        for start in range(0, len(ids), rows_a_pass):
            rows = slice(start, start + rows_a_pass)
            here = [None] * len(ids[rows])
            part, _ = self._forward(ids[rows], mask[rows], here, unsteered.rows(rows), until=block)
            parts.append(part)
        ends = {layer: torch.cat([part.ends[layer] for part in parts]) for layer in parts[0].ends}
        return _Part(block, torch.cat([part.stream for part in parts if part.stream is not None]), ends)

    def _read(self, ids: Tensor, mask: Tensor, edits: Sequence[Edit | None], begun: _Part) -> Reading:
        part, logits = self._forward(ids, mask, edits, begun, self._until)
        hidden = np.empty((len(ids), len(self._layers), self.model.blocks.width))
        for place, layer in enumerate(self._layers):
            hidden[:, place] = part.ends[layer].cpu().numpy()
        return Reading(hidden, logits.float().cpu().numpy())

    @torch.inference_mode()
    def _forward(
        self, ids: Tensor, mask: Tensor, edits: Sequence[Edit | None], begun: _Part, until: int | None
    ) -> tuple[_Part, Tensor]:
        """Goes on from where rows have begun, up to a block or to the logits, (rows, vocabulary)."""
        blocks, ends = self.model.blocks, dict(begun.ends)
        left = [layer for layer in self._layers if begun.block <= layer < (until or len(blocks))]
        modules = [[*blocks.modules[:-1], blocks.final_norm][layer] for layer in left]

        def keep(index: int, stream: Tensor) -> None:
            ends[left[index]] = stream[:, -1].float()

        everywhere = any(edit is not None and edit.layer is None for edit in edits)
        writers = self._writers if everywhere else ()
        with ExitStack() as stack:
            if begun.stream is not None and self._outputs is not None:
                stack.enter_context(beginning_at(blocks.modules, begun.block, begun.stream, self._outputs))
            stack.enter_context(RowEdits(edits, blocks, self.model.device).attached(writers))
            stack.enter_context(reading(modules, keep))
            if until is not None:
                stack.enter_context(ending_before(blocks.modules, until))
            try:
                return _Part(ends=ends), self.model.forward(ids, mask)
            except Reached as reached:
                return _Part(until or 0, reached.stream, ends), reached.stream.new_empty(len(ids), 0)

    @cached_property
    def _outputs(self) -> list[BlockOutput] | None:
        """What blocks return; None where they pass on more than the stream, and so all have to run."""
        return outputs_of(self.model.module, self.model.blocks.modules, self._probe)

    @cached_property
    def _writers(self) -> list[nn.Module]:
        found = find_writers(self.model.module, self.model.blocks, self._probe)
        return [module for writers in found for module in writers]

    @property
    def _probe(self) -> Tensor:
        ids: Tensor = self.model.template.encode(["Hello"], self.model.device)["input_ids"]
        return ids


def _first_block(edit: Edit | None) -> int:
    """The first block that does not run as it does unsteered; 0 also where none does."""
    return 0 if edit is None or edit.layer is None else edit.layer
