"""One model's class difference, taken apart."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from steergauge.directions.difference_rank import DifferenceRank, difference_rank
from steergauge.directions.direction import Direction
from steergauge.directions.extract import ContrastReadings
from steergauge.directions.rank_by_block import RankByBlock, rank_by_block
from steergauge.directions.residual import ResidualSeparation, residual_separation
from steergauge.directions.sequence import each_direction
from steergauge.errors import SteergaugeError
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_settings import StudiedModel


class Parts(NamedTuple):
    """What the readings of a contrast set come to.

    Attributes:
        block: where the difference is taken apart.
        at_block: how many directions it needs there.
        by_block: how low its rank is, at every block.
        residual: whether held-out pairs part with 0, 1, … directions taken out.
        sequence: the directions that could be found, `svd-1` first.
    """

    block: int
    at_block: DifferenceRank
    by_block: RankByBlock
    residual: tuple[ResidualSeparation, ...]
    sequence: tuple[Direction, ...]


class Ranked(NamedTuple):
    """A model with the parts of its class difference, and what steering with them does."""

    model: StudiedModel
    parts: Parts
    result: GaugeResult


def take_apart(readings: ContrastReadings, block: int, count: int, seed: int) -> Parts:
    """Takes the class difference apart.

    Args:
        readings: of a contrast set whose prompts are pairs.
        block: where directions are counted.
        count: how many directions are sought at most.
        seed: of swaps and resamples; equal seeds and pairs give models equal resamples.

    Raises:
        SteergaugeError: the prompts are not pairs, or fewer than two, or there is no first direction.
    """
    positive, negative = readings
    return Parts(
        block=block,
        at_block=difference_rank(
            positive[:, block].astype(np.float64),
            negative[:, block].astype(np.float64),
            np.random.default_rng(seed),
        ),
        by_block=rank_by_block(positive, negative, np.random.default_rng(seed)),
        residual=residual_separation(positive, negative, count),
        sequence=tuple(_those_found(readings, count)),
    )


def _those_found(readings: ContrastReadings, count: int) -> Iterator[Direction]:
    """The sequence up to the direction that cannot be found; without a first one there is nothing to study."""
    found = each_direction(*readings, count)
    yield next(found)
    try:
        yield from found
    except SteergaugeError:
        return
