"""What one backend, or one mistake, reads of a contrast set, and how far that is from the reference."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.dim import difference_in_means


@dataclass(frozen=True, eq=False)
class ToolReadings:
    """Readings of both classes at the last token, each (prompts, blocks, width)."""

    positive: NDArray[np.float32]
    negative: NDArray[np.float32]

    @cached_property
    def differences(self) -> NDArray[np.float64]:
        """Δ_k, (blocks, width)."""
        difference: NDArray[np.float64] = self.positive.mean(axis=0, dtype=np.float64) - self.negative.mean(
            axis=0, dtype=np.float64
        )
        return difference

    def vector(self, block: int) -> NDArray[np.float32]:
        """DIM's û at a block, (width,).

        Raises:
            SteergaugeError: the classes do not differ there, or are not finite.
        """
        at = [block]
        vectors = difference_in_means(self.positive[:, at], self.negative[:, at]).vectors
        return np.ascontiguousarray(vectors[0])

    def cosines(self, reference: "ToolReadings") -> list[float | None]:
        """The cosine of Δ_k with the reference's at every block; None where either is zero or not finite."""
        return [
            _cosine(one, other) for one, other in zip(self.differences, reference.differences, strict=True)
        ]

    def norm_ratio(self, reference: "ToolReadings", block: int) -> float:
        """‖Δ_k‖ over the reference's."""
        ours, theirs = np.linalg.norm(self.differences[block]), np.linalg.norm(reference.differences[block])
        return float(ours / theirs)

    def reading_error(self, reference: "ToolReadings", block: int) -> float:
        """The largest ‖a − b‖/‖b‖ of a prompt's reading a and the reference's b."""
        ours = np.concatenate([self.positive, self.negative])[:, block].astype(np.float64)
        theirs = np.concatenate([reference.positive, reference.negative])[:, block].astype(np.float64)
        return float((np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)).max())


def _cosine(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    product = float(np.linalg.norm(one) * np.linalg.norm(other))
    if product == 0 or not np.isfinite(product):
        return None
    return float(np.clip(one @ other / product, -1.0, 1.0))
