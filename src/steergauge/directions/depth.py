"""Blocks of the same relative depth in two models, and a direction carried from the one to the other as it is."""

import numpy as np

from steergauge.directions.direction import Direction
from steergauge.errors import SteergaugeError


def matched_block(block: int, blocks: int, other_blocks: int) -> int:
    """The block of another model at the depth k/N of a block: ⌊k/N · N'⌋, as depths become blocks everywhere here.

    Args:
        block: k.
        blocks: N, of its own model.
        other_blocks: N', of the other.

    Raises:
        SteergaugeError: k is out of range.
    """
    if not 0 <= block < blocks:
        raise SteergaugeError(f"block {block} is out of range; the model has blocks 0 to {blocks - 1}")
    return block * other_blocks // blocks


def matched_blocks(blocks: int, other_blocks: int) -> tuple[int, ...]:
    """`matched_block` of each of a model's blocks."""
    return tuple(matched_block(block, blocks, other_blocks) for block in range(blocks))


def at_matched_depths(direction: Direction, blocks: int, width: int) -> Direction:
    """A direction for another model of the same width: at each of its blocks the source's vector of the same depth.

    The study's transfer: nothing is fitted. The raw norms stay those of the source, in units of *its* stream, so that a
    `separation` dose is one of the source's; raw and relative doses are the target's own. The name gets `-carried`.

    Args:
        direction: the source's.
        blocks: how many the target has.
        width: of the target's stream.

    Raises:
        SteergaugeError: the widths differ; both are named.
    """
    if direction.width != width:
        raise SteergaugeError(
            f"the source's direction is {direction.width} wide and the target's stream {width}, so they share no "
            "coordinates: neither a cosine nor a direct transfer is defined; "
            "fit a linear map on shared prompts and carry the direction through it"
        )
    sources = np.array(matched_blocks(blocks, direction.blocks))
    return Direction(
        method=f"{direction.method}-carried",
        vectors=direction.vectors[sources],
        raw_norms=direction.raw_norms[sources],
        site=direction.site,
        position=direction.position,
    )
