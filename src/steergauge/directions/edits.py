"""Interventions on the residual stream while candidates are scored: every row of a batch by its own.

All are of one form, h ← h + (offset + slope·⟨h, û⟩)·û at every position (methods.md §2 and §3).
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from steergauge.models.blocks import Blocks, entering, leaving

Vector = NDArray[np.float64]
"""In the residual stream, (width,)."""


class Intervention(StrEnum):
    """How a candidate is ablated and added."""

    AFFINE = "affine"
    """At p_l alone, towards the harmless mean; adding restores the harmful mean there (COSMIC's default)."""
    LINEAR = "linear"
    """Ablated wherever something is written to the stream, added at p_l (Arditi et al.)."""


@dataclass(frozen=True, eq=False)
class Edit:
    """One intervention.

    Attributes:
        vector: û, (width,).
        offset: added along û.
        slope: times ⟨h, û⟩, added along û; −1 takes the component away.
        layer: l of p_l, the input of block l; None for every block input, attention output and MLP output.
    """

    vector: Vector
    offset: float
    slope: float
    layer: int | None


def affine(difference: Vector, reference: Vector, layer: int, coefficient: float) -> Edit:
    """At p_l, h − (h·û)û + (R·û)û + c·D with û = D/‖D‖: c = 0 ablates, c = 1 adds."""
    length = np.linalg.norm(difference)
    unit = difference / length
    return Edit(unit, float(reference @ unit + coefficient * length), -1.0, layer)


def ablation(difference: Vector, layer: int | None = None) -> Edit:
    """At p_l or everywhere, h − (h·û)û with û = D/‖D‖."""
    return Edit(difference / np.linalg.norm(difference), 0.0, -1.0, layer)


def addition(difference: Vector, layer: int) -> Edit:
    """At p_l, h + D."""
    length = np.linalg.norm(difference)
    return Edit(difference / length, float(length), 0.0, layer)


class RowEdits:
    """The edits of a batch's rows; a row without one runs as it is."""

    def __init__(self, edits: Sequence[Edit | None], blocks: Blocks, device: str) -> None:
        def column(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device)[:, None]

        vectors = np.stack([np.zeros(blocks.width) if edit is None else edit.vector for edit in edits])
        self._vectors = torch.tensor(vectors, dtype=torch.float32, device=device)  # (rows, width)
        self._offsets = column([0.0 if edit is None else edit.offset for edit in edits])  # (rows, 1)
        self._slopes = column([0.0 if edit is None else edit.slope for edit in edits])
        everywhere = [edit is not None and edit.layer is None for edit in edits]
        self._everywhere = column([float(here) for here in everywhere])
        self._at: dict[int, Tensor] = {}  # which rows are edited at p_l, (rows, 1)
        for layer in range(len(blocks)):
            here = [edit is not None and edit.layer in (None, layer) for edit in edits]
            if any(here):
                self._at[layer] = column([float(one) for one in here])
        self._blocks = blocks

    @contextmanager
    def attached(self, writers: Sequence[nn.Module]) -> Iterator[None]:
        """Hooks while the context is open.

        Args:
            writers: the modules that write to the stream, where the edits of no single layer apply too.
        """
        with ExitStack() as stack:
            stack.enter_context(
                entering(
                    self._blocks.modules,
                    lambda layer, stream: (
                        self._edit(stream, self._at[layer]) if layer in self._at else stream
                    ),
                )
            )
            if self._everywhere.any():
                stack.enter_context(
                    leaving(writers, lambda _writer, written: self._edit(written, self._everywhere))
                )
            yield

    def _edit(self, stream: Tensor, here: Tensor) -> Tensor:
        rows, width = self._vectors.shape
        unfolded = stream.reshape(rows, -1, width)  # some families flatten rows and tokens before the MLP
        component = torch.einsum("rtw,rw->rt", unfolded.float(), self._vectors)
        amount = here * (self._offsets + self._slopes * component)  # (rows, tokens)
        change = amount[..., None] * self._vectors[:, None]
        return (unfolded + change.to(stream.dtype)).reshape(stream.shape)
