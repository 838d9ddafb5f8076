"""Writing to the residual stream: every row of a batch by its own steering."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from steergauge.models.blocks import BlockOutput, Blocks, stream_of, with_stream
from steergauge.steering.steering import Operation, Steering


class Intervention:
    """r ← r + (offset + slope·⟨r, û⟩)·û, with û, offset and slope of each row and block.

    Adding is (α, 0); clamping to a target is (target, −1).
    """

    def __init__(self, steerings: Sequence[Steering], device: str) -> None:
        blocks = len(steerings[0].coefficients)
        steered = np.array([[block >= one.first_block for block in range(blocks)] for one in steerings])
        clamps = np.array([[one.operation is Operation.CLAMP] for one in steerings])
        offsets = np.stack([one.coefficients for one in steerings]) * steered
        self._vectors = torch.tensor(np.stack([one.vector for one in steerings]), device=device)
        self._offsets = torch.tensor(offsets, dtype=torch.float32, device=device)  # (rows, blocks)
        self._slopes = torch.tensor(-1.0 * (clamps & steered), dtype=torch.float32, device=device)
        self._first = torch.tensor([one.first_block for one in steerings], device=device)
        self._clamping = bool(clamps.any())
        self.steered_tokens = torch.zeros(len(steerings), dtype=torch.long, device=device)
        self._real: Tensor | None = None

    def expect(self, attention_mask: Tensor) -> None:
        """Says which positions, (rows, all tokens so far), are real: the last ones are about to run."""
        self._real = attention_mask

    def select(self, rows: Tensor) -> None:
        """Goes on with the given rows only, in their order; a row given twice becomes two."""
        self._vectors, self._offsets, self._slopes = (
            table[rows] for table in (self._vectors, self._offsets, self._slopes)
        )
        self._first, self.steered_tokens = self._first[rows], self.steered_tokens[rows]

    @contextmanager
    def attached(self, blocks: Blocks) -> Iterator[None]:
        """Hooks on every block while the context is open."""

        def hook(block: int) -> Callable[..., BlockOutput]:
            return lambda _module, _inputs, output: self._apply(block, output)

        handles = [module.register_forward_hook(hook(block)) for block, module in enumerate(blocks.modules)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _apply(self, block: int, output: Any) -> BlockOutput:
        stream = stream_of(output)  # (rows, tokens, width)
        if self._real is not None:
            here = self._real[:, -stream.shape[1] :].sum(dim=1)
            self.steered_tokens += torch.where(self._first == block, here, 0)
        change = self._offsets[:, block, None, None] * self._vectors[:, None, :]  # (rows, 1, width)
        if self._clamping:
            component = torch.einsum("rtw,rw->rt", stream.float(), self._vectors)
            pulled = self._slopes[:, block, None] * component
            change = change + pulled[..., None] * self._vectors[:, None, :]
        return with_stream(output, stream + change.to(stream.dtype))
