"""Writing to the outputs of attention heads: every row of a batch by its own steering."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor

from steergauge.models.blocks import entering
from steergauge.models.heads import Heads
from steergauge.steering.head_steering import HeadSteering


class HeadIntervention:
    """Adds to the heads of every row of a batch by its own steering; rows without one stay as they are."""

    def __init__(self, steerings: Sequence[HeadSteering | None], device: str) -> None:
        shape = next(one.additions.shape for one in steerings if one is not None)
        additions = np.stack([np.zeros(shape) if one is None else one.additions for one in steerings])
        # Where the tokens of a row are counted.
        firsts = [-1 if one is None else one.first_block for one in steerings]
        # What each steering adds at the blocks that any of them changes: (steerings, heads × head width).
        self._additions = {
            block: torch.tensor(additions[:, block], dtype=torch.float32, device=device).flatten(1)
            for block in range(shape[0])
            if additions[:, block].any() or block in firsts
        }
        self._first = torch.tensor(firsts, device=device)
        self._rows = torch.arange(len(steerings), device=device)
        self.steered_tokens = torch.zeros(len(steerings), dtype=torch.long, device=device)
        self._steered: Tensor | None = None  # (rows, all tokens so far)

    def expect(self, steered: Tensor) -> None:
        """Says which positions, (rows, all tokens so far), are to be steered: the last ones are about to run."""
        self._steered = steered

    def select(self, rows: Tensor) -> None:
        """Goes on with the given rows only, in their order; a row given twice becomes two."""
        self._rows, self.steered_tokens = self._rows[rows], self.steered_tokens[rows]

    def attached(self, heads: Heads) -> AbstractContextManager[None]:
        """Steers the heads of every block that is steered while the context is open."""
        blocks = list(self._additions)
        return entering(
            [heads.modules[block] for block in blocks],
            lambda index, outputs: self._apply(blocks[index], outputs),
        )

    def _apply(self, block: int, outputs: Tensor) -> Tensor:
        """Adds to heads' outputs (rows, tokens, heads × head width)."""
        change = self._additions[block][self._rows][:, None]  # (rows, 1, heads × head width)
        if self._steered is not None:
            here = self._steered[:, -outputs.shape[1] :]  # (rows, tokens)
            self.steered_tokens += torch.where(self._first[self._rows] == block, here.sum(dim=1), 0)
            change = torch.where(here[..., None].bool(), change, 0.0)
        return outputs + change.to(outputs.dtype)
