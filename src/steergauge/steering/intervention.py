"""Writing to the residual stream: every row of a batch by its own steering."""

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor

from steergauge.models.blocks import Blocks, leaving
from steergauge.steering.operation import Operation, rotation
from steergauge.steering.positions import Positions
from steergauge.steering.steering import Steering


class Intervention:
    """r ← r + (offset + slope·⟨r, û⟩)·û, or a turn towards û; with all of them of each row and block.

    Adding is (α, 0); setting the component to a target, as clamping, affine and ablation do, is (target, −1).
    """

    def __init__(self, steerings: Sequence[Steering], device: str) -> None:
        blocks = range(len(steerings[0].coefficients))
        steered = np.array([[block in one.blocks for block in blocks] for one in steerings])
        setting = np.array([[one.operation.sets_component] for one in steerings])
        turning = np.array([[one.operation is Operation.ROTATE] for one in steerings])
        amounts = np.where(steered, np.stack([one.coefficients for one in steerings]), 0.0)

        def table(values: object) -> Tensor:  # (rows, blocks)
            return torch.tensor(values, dtype=torch.float32, device=device)

        self._vectors = torch.tensor(np.stack([one.vector for one in steerings]), device=device)
        self._offsets = table(np.where(turning, 0.0, amounts))
        self._slopes = table(-1.0 * (setting & steered))
        self._turns = table(np.where(turning, amounts, 0.0))
        self._first = torch.tensor([one.first_block for one in steerings], device=device)
        self._setting, self._turning = bool(setting.any()), bool(turning.any())
        self._everywhere = all(one.positions is Positions.ALL for one in steerings)
        self.steered_tokens = torch.zeros(len(steerings), dtype=torch.long, device=device)
        self._steered: Tensor | None = None

    def expect(self, steered: Tensor) -> None:
        """Says which positions, (rows, all tokens so far), are to be steered: the last ones are about to run.

        Padding is none of them, and is left out of the count; where every row steers all its tokens, it is
        edited with them for speed, which no real token sees.
        """
        self._steered = steered

    def select(self, rows: Tensor) -> None:
        """Goes on with the given rows only, in their order; a row given twice becomes two."""
        self._vectors, self._offsets, self._slopes, self._turns = (
            table[rows] for table in (self._vectors, self._offsets, self._slopes, self._turns)
        )
        self._first, self.steered_tokens = self._first[rows], self.steered_tokens[rows]

    def attached(self, blocks: Blocks) -> AbstractContextManager[None]:
        """Steers every block while the context is open."""
        return leaving(blocks.modules, self._steer)

    def change(self, block: int, streams: Tensor) -> Tensor:
        """What is added to the streams (rows, tokens, width) after a block, in float32, if all are steered.

        Where it is the same at every token there is one, (rows, 1, width).
        """
        change = self._offsets[:, block, None, None] * self._vectors[:, None, :]  # (rows, 1, width)
        if self._setting:
            component = torch.einsum("rtw,rw->rt", streams.float(), self._vectors)
            pulled = self._slopes[:, block, None] * component
            change = change + pulled[..., None] * self._vectors[:, None, :]
        if self._turning:
            change = change + rotation(streams.float(), self._vectors, self._turns[:, block])
        return change

    def for_rows(self, rows: Tensor) -> "Intervention":
        """The same for other rows, (rows,), by their places in this one, which stays; its count begins at 0."""
        other = copy.copy(self)
        other.select(rows)
        other.steered_tokens = torch.zeros_like(rows)
        return other

    def addition(self, block: int, streams: Tensor) -> Tensor:
        """What is added to the streams (rows, tokens, width) after a block: 0 where a token is not steered.

        Counts the tokens of the rows whose first steered block it is. Shape and format as `change`.
        """
        change = self.change(block, streams)
        if self._steered is not None:
            here = self._steered[:, -streams.shape[1] :]
            self.steered_tokens += torch.where(self._first == block, here.sum(dim=1), 0)
            if not self._everywhere:
                change = torch.where(here[..., None].bool(), change, 0.0)
        return change

    def _steer(self, block: int, streams: Tensor) -> Tensor:
        """Steers the streams (rows, tokens, width) after a block."""
        return streams + self.addition(block, streams).to(streams.dtype)
