"""Cosines between directions of two models, or of one (the study's transfer section)."""

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.depth import at_matched_depths
from steergauge.directions.direction import Direction
from steergauge.errors import SteergaugeError


def cross_cosine(source: Direction, target: Direction) -> NDArray[np.float64]:
    """At each of the target's blocks, the cosine with the source's vector of the same depth, (target blocks,).

    It compares coordinates, and two models share those only as far as their training made them. Unrelated streams
    give 0 ± 1/√width whatever their directions mean: near 0 says "not the same coordinates", not "not the same feature".

    Raises:
        SteergaugeError: the widths differ, both named, or the two were read in different places of the stream.
    """
    if source.site != target.site:
        raise SteergaugeError(
            f"one direction was read at the {source.site} and the other at the {target.site}; read both at one"
        )
    return cosines_by_block(at_matched_depths(source, target.blocks, target.width), target)


def cosines_by_block(one: Direction, other: Direction) -> NDArray[np.float64]:
    """Block by block, (blocks,), in float64: unit vectors in float32 have length 1 only to seven digits."""
    first, second = one.vectors.astype(np.float64), other.vectors.astype(np.float64)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosines: NDArray[np.float64] = np.clip(np.sum(first * second, axis=1) / lengths, -1, 1)
    return cosines
