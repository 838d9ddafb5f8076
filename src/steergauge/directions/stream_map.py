"""Carries a direction into a model of another width: a fitted map at each of the target's blocks."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.depth import matched_blocks
from steergauge.directions.direction import Direction
from steergauge.directions.procrustes import MapFit, fit_with_held_out
from steergauge.errors import SteergaugeError

Readings = NDArray[np.float32]
Array = NDArray[np.float64]


class CarriedDirection(NamedTuple):
    """A direction in the target's stream, and how much of the source's the maps could take along.

    Attributes:
        direction: named `METHOD-procrustes`. Its raw norms are the lengths at which the maps leave the source's class
            difference along û, scale · ‖û·W‖ · raw norm, in units of the target's stream.
        kept: ‖û·W‖ at each of the target's blocks, (blocks,): the rest lies where no shared prompt varied.
    """

    direction: Direction
    kept: Array


@dataclass(frozen=True, eq=False)
class StreamMap:
    """A map into each block of the target, from the source's block of the same depth.

    Attributes:
        source_blocks: N of the source.
        source_width: of the source's stream.
        fits: one a block of the target.
    """

    source_blocks: int
    source_width: int
    fits: tuple[MapFit, ...]

    @property
    def from_blocks(self) -> tuple[int, ...]:
        """The source's block that each of the target's is mapped from."""
        return matched_blocks(len(self.fits), self.source_blocks)

    @property
    def held_out_r2(self) -> Array:
        """Of each map, (target blocks,)."""
        return np.array([fit.held_out_r2 for fit in self.fits])

    def carry(self, direction: Direction) -> CarriedDirection:
        """Takes a direction of the source along.

        Raises:
            SteergaugeError: it belongs to another model than the source, or a map takes it to zero.
        """
        direction.require_fit(self.source_blocks, self.source_width, "the source of the map")
        vectors = direction.vectors.astype(np.float64)
        turned = np.stack(
            [fit.map.turn(vectors[block]) for block, fit in zip(self.from_blocks, self.fits, strict=True)]
        )  # (target blocks, target width)
        kept = np.linalg.norm(turned, axis=1)
        for block, share in enumerate(kept):
            if share <= np.finfo(np.float32).eps:
                raise SteergaugeError(
                    f"the map to block {block} takes the direction to zero: no shared prompt varies along it; "
                    "fit the map on more prompts"
                )
        scales = np.array([fit.map.scale for fit in self.fits])
        carried = Direction(
            method=f"{direction.method}-procrustes",
            vectors=(turned / kept[:, None]).astype(np.float32),
            raw_norms=scales * kept * direction.raw_norms[list(self.from_blocks)],
            site=direction.site,
            position=direction.position,
        )
        return CarriedDirection(carried, kept)


def fit_stream_map(source: Readings, target: Readings) -> StreamMap:
    """Fits a map into each of the target's blocks, on prompts that both models read (`procrustes` says which).

    Args:
        source: one model's readings at its prompts' last token, (prompts, source blocks, source width).
        target: another's of the same prompts in the same order, (prompts, target blocks, target width).

    Raises:
        SteergaugeError: there are fewer than three prompts, not as many on both sides, a reading is not finite, or all read
            alike at a block.
    """
    for name, readings in (("source", source), ("target", target)):
        if readings.ndim != 3:
            raise SteergaugeError(
                f"the {name}'s readings have the shape {readings.shape}; it must be (prompts, blocks, width)"
            )
    blocks = matched_blocks(target.shape[1], source.shape[1])
    fits = tuple(
        fit_with_held_out(source[:, block].astype(np.float64), target[:, place].astype(np.float64))
        for place, block in enumerate(blocks)
    )
    return StreamMap(source.shape[1], source.shape[2], fits)
