"""Parts of contrast sets, and how alike their directions are."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.cross_cosine import cosines_by_block
from steergauge.directions.direction import Direction
from steergauge.directions.extract import ContrastReadings, read_contrast
from steergauge.directions.methods import find_method
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.prompts import ContrastSet
from steergauge.studies.run import Progress


class Kind(StrEnum):
    """How a subset came about."""

    SET = "whole set"
    SIZE = "fewer pairs"
    LEFT_OUT = "one pair left out"
    REFUSED = "refused pairs only"


@dataclass(frozen=True)
class Subset:
    """Some pairs of a contrast set, in its order."""

    kind: Kind
    of: ContrastSet
    pairs: tuple[int, ...]

    @property
    def name(self) -> str:
        """As tables say it."""
        if self.kind is Kind.SET:
            return self.of.name
        if self.kind is Kind.LEFT_OUT:
            (left_out,) = set(range(len(self.of.positive))) - set(self.pairs)
            return f"{self.of.name} without pair {left_out + 1}"
        if self.kind is Kind.REFUSED:
            return f"{self.of.name}, refused only"
        return f"{self.of.name}, {len(self.pairs)} {'pair' if len(self.pairs) == 1 else 'pairs'}"

    @property
    def contrast_set(self) -> ContrastSet:
        """Its prompts as a set of their own."""
        if self.kind is Kind.SET:
            return self.of
        return ContrastSet(
            name=self.name,
            source=self.of.source,
            positive=tuple(self.of.positive[index] for index in self.pairs),
            negative=tuple(self.of.negative[index] for index in self.pairs),
        )


def whole_set(contrast: ContrastSet) -> Subset:
    """All pairs.

    Raises:
        SteergaugeError: the prompts are not pairs.
    """
    if len(contrast.positive) != len(contrast.negative):
        raise SteergaugeError(
            f"{contrast.name} has {len(contrast.positive)} positive and {len(contrast.negative)} negative prompts; subsets are "
            "of pairs: give every prompt its counterpart, in the same order"
        )
    return Subset(Kind.SET, contrast, tuple(range(len(contrast.positive))))


def subsets_of(
    contrast: ContrastSet, sizes: Sequence[int], seed: int, *, leave_one_out: bool
) -> list[Subset]:
    """The whole set; then parts of the given sizes, each within the next; then each pair left out.

    Args:
        contrast: pairs.
        sizes: how many pairs; those that the set does not exceed are left out.
        seed: of the order in which pairs are taken.
        leave_one_out: whether pairs are left out, one at a time, where there are two at least.

    Raises:
        SteergaugeError: the prompts are not pairs.
    """
    whole = whole_set(contrast)
    number = len(whole.pairs)
    order = np.random.default_rng(seed).permutation(number).tolist()
    found = [whole]
    found += [
        Subset(Kind.SIZE, contrast, tuple(sorted(order[:size])))
        for size in sorted(set(sizes))
        if size < number
    ]
    if leave_one_out and number > 1:
        found += [
            Subset(Kind.LEFT_OUT, contrast, whole.pairs[:index] + whole.pairs[index + 1 :])
            for index in whole.pairs
        ]
    return found


def refused_pairs(contrast: ContrastSet, refused: Collection[str]) -> list[Subset]:
    """The pairs whose positive prompt the model refuses; none where that is all of them, or none."""
    pairs = tuple(index for index, prompt in enumerate(contrast.positive) if prompt in refused)
    return [Subset(Kind.REFUSED, contrast, pairs)] if 0 < len(pairs) < len(contrast.positive) else []


class SizeCosines(NamedTuple):
    """Directions of random subsets of one size against that of their whole set.

    Attributes:
        cosines: of the draws that gave a direction, (draws, blocks).
        degenerate: how many did not.
    """

    contrast_set: str
    size: int
    cosines: NDArray[np.float64]
    degenerate: int


class SetReadings:
    """What one model reads of several contrast sets, and directions of any of their pairs."""

    def __init__(self, sets: Sequence[ContrastSet], readings: Mapping[str, ContrastReadings]) -> None:
        self._sets, self._readings = sets, readings

    def direction(self, method: str, subset: Subset) -> Direction:
        """The subset's direction.

        Raises:
            SteergaugeError: its prompts give no direction.
        """
        positive, negative = self._readings[subset.of.name]
        some = list(subset.pairs)
        return find_method(method)(positive[some], negative[some])

    def cosines(self, method: str, one: Subset, other: Subset) -> NDArray[np.float64]:
        """Of two subsets' directions at every block, (blocks,)."""
        return cosines_by_block(self.direction(method, one), self.direction(method, other))

    def by_size(self, method: str, sizes: Sequence[int], draws: int, seed: int) -> list[SizeCosines]:
        """Random subsets of each set and size against the whole set; sizes that a set does not exceed are left out."""
        found = []
        for contrast in self._sets:
            whole = whole_set(contrast)
            try:
                reference = self.direction(method, whole)
            except SteergaugeError:  # told where whole sets are compared
                continue
            for size in sorted({one for one in sizes if one < len(whole.pairs)}):
                generator, drawn = np.random.default_rng(seed), list[NDArray[np.float64]]()
                for _ in range(draws):
                    pairs = sorted(generator.choice(len(whole.pairs), size, replace=False).tolist())
                    try:
                        one = self.direction(method, Subset(Kind.SIZE, contrast, tuple(pairs)))
                    except SteergaugeError:  # too few prompts for the method
                        continue
                    drawn.append(cosines_by_block(one, reference))
                if drawn:
                    found.append(SizeCosines(contrast.name, size, np.stack(drawn), draws - len(drawn)))
        return found


def read_sets(model: Model, sets: Sequence[ContrastSet], progress: Progress) -> SetReadings:
    """Reads every set once."""
    progress.begin("reading contrast sets", len(sets))
    readings = {}
    for contrast in sets:
        readings[contrast.name] = read_contrast(model, contrast)
        progress.advance(1, 0)
    return SetReadings(sets, readings)
