"""Forward passes under intervention, in which candidates are rows of one batch."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steergauge.directions.edits import Edit, RowEdits
from steergauge.models.blocks import reading
from steergauge.models.loading import Model
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
        logits: (prompts, vocabulary).
    """

    hidden: NDArray[np.float64]
    logits: NDArray[np.float32]


class SharedPasses:
    """Runs jobs in as few forward passes as memory allows, and counts them.

    h_j is what `transformers` calls `hidden_states[j+1]`: r_j as block j returns it, before an edit at p_{j+1}; for the
    last block, final_norm(r_{N−1}), as in COSMIC's official code.
    """

    def __init__(self, model: Model, layers: Sequence[int]) -> None:
        self.model = model
        self.passes = 0
        self.rows = 0
        blocks = model.blocks
        ends = [*blocks.modules[:-1], blocks.final_norm]
        self._read = [ends[layer] for layer in layers]
        self._writers: list[torch.nn.Module] | None = None

    def run(self, jobs: Sequence[Job], progress: Progress | None = None) -> Iterator[Reading]:
        """Yields each job's reading, in the order of the jobs.

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
        for start in range(0, len(rows), rows_a_pass):
            batch = rows[start : start + rows_a_pass]
            places = torch.tensor([place for place, _ in batch], device=model.device)
            read = self._forward(ids[places], mask[places], [edit for _, edit in batch])
            self.passes, self.rows = self.passes + 1, self.rows + len(batch)
            held.extend(zip(*read, strict=True))
            if progress:
                progress(start + len(batch), len(rows))
            while waiting and len(held) >= len(waiting[0].prompts):
                hidden, logits = zip(*(held.popleft() for _ in waiting.popleft().prompts), strict=True)
                yield Reading(np.stack(hidden), np.stack(logits))

    def _forward(self, ids: Tensor, mask: Tensor, edits: Sequence[Edit | None]) -> Reading:
        model = self.model
        hidden = np.empty((len(ids), len(self._read), model.blocks.width))

        def keep(index: int, stream: Tensor) -> None:
            hidden[:, index] = stream[:, -1].float().cpu().numpy()

        everywhere = any(edit is not None and edit.layer is None for edit in edits)
        with (
            torch.inference_mode(),
            RowEdits(edits, model.blocks, model.device).attached(self._found_writers() if everywhere else ()),
            reading(self._read, keep),
        ):
            logits = model.forward(ids, mask)
        return Reading(hidden, logits.float().cpu().numpy())

    def _found_writers(self) -> list[torch.nn.Module]:
        if self._writers is None:
            model = self.model
            probe = model.template.encode(["Hello"], model.device)["input_ids"]
            found = find_writers(model.module, model.blocks, probe)
            self._writers = [module for writers in found for module in writers]
        return self._writers
