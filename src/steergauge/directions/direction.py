"""A behaviour's direction in the residual stream, with what is needed to trust it."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steergauge.errors import SteergaugeError


@dataclass(frozen=True)
class Direction:
    """One unit vector a block.

    Attributes:
        method: the extraction method's name.
        vectors: unit vectors, (blocks, width); `vectors[k]` belongs to r_k.
        raw_norms: the distance of the class means along û_k, (blocks,), in units of the residual stream;
            ‖Δ_k‖ where û_k is along Δ_k, as in DIM.
        site: which stream was read.
        position: the token read, counted from the prompt's end.
    """

    method: str
    vectors: NDArray[np.float32]
    raw_norms: NDArray[np.float64]
    site: str = "block output"
    position: int = -1

    @property
    def blocks(self) -> int:
        """How many blocks it covers."""
        return len(self.vectors)

    @property
    def width(self) -> int:
        """The width of the stream it belongs to."""
        return len(self.vectors[0])

    @property
    def digest(self) -> str:
        """SHA-256 of the vectors and norms."""
        return hashlib.sha256(self.vectors.tobytes() + self.raw_norms.tobytes()).hexdigest()

    def require_fit(self, blocks: int, width: int, model: str) -> None:
        """Refuses a model of another shape.

        Raises:
            SteergaugeError: naming both widths, or both numbers of blocks.
        """
        if self.width != width:
            raise SteergaugeError(
                f"the direction is {self.width} wide and {model} is {width} wide; extract it on this model"
            )
        if self.blocks != blocks:
            raise SteergaugeError(
                f"the direction has {self.blocks} blocks and {model} has {blocks}; extract it on this model"
            )


@dataclass(frozen=True)
class ExtractedDirection:
    """A direction with the model that it was extracted on.

    Attributes:
        direction: what was extracted.
        model: the model's name, as it was asked for.
        fingerprint: the model's, over weights, precision, tokenizer and template.
    """

    direction: Direction
    model: str
    fingerprint: str


def direction_from_differences(
    method: str, differences: NDArray[np.float64], position: int = -1
) -> Direction:
    """Normalises one difference vector a block, keeping their norms.

    Args:
        method: the extraction method's name.
        differences: Δ_k, (blocks, width).
        position: the token read, counted from the prompt's end.

    Raises:
        SteergaugeError: a difference is zero or not finite, so there is no direction.
    """
    norms = np.linalg.norm(differences, axis=1)
    for block, norm in enumerate(norms):
        if not np.isfinite(norm) or norm == 0:
            raise SteergaugeError(
                f"{method}: the two classes do not differ after block {block} (‖Δ‖ = {norm}); "
                "the contrast set needs prompts that the model reads differently at the last token"
            )
    return Direction(method, (differences / norms[:, None]).astype(np.float32), norms, position=position)
