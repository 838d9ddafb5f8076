"""The capture contract: prompts in, residual-stream readings out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from steergauge.models.loading import Model


@dataclass(frozen=True)
class Activations:
    """Readings of the residual stream after each block, in float32.

    Attributes:
        values: (prompts, blocks, positions, width); `values[:, k]` is r_k.
        positions: counted from the end of the prompt; −1 is its last token.
    """

    values: NDArray[np.float32]
    positions: tuple[int, ...]

    def at(self, position: int) -> NDArray[np.float32]:
        """The readings at one position, (prompts, blocks, width).

        Raises:
            ValueError: the position was not captured.
        """
        return self.values[:, :, self.positions.index(position)]


class Capture(Protocol):
    """A backend that reads a model's residual stream."""

    def __call__(self, model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
        """Reads r_k for every block k at the given positions of each prompt."""
        ...
