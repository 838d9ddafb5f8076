"""What ranks say of hypotheses 1 and 3: neighbouring sizes of each family."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from steergauge.directions.rank_by_block import RankStatistic
from steergauge.statistics.proportions import Interval
from steergauge.studies.claims import answer, every
from steergauge.studies.experiments.ranked import Parts, Ranked
from steergauge.studies.study_result import Conclusion, Outcome

_RANK = RankStatistic.ENTROPY_RANK
_PAIRS_FOR_TWO = 10  # a direction that fewer than five pairs differ in has a p value above .05


def conclude(ranks: Sequence[Ranked]) -> tuple[Conclusion, ...]:
    """Both hypotheses; a model whose family or size is unknown is in neither."""
    neighbours = _neighbours(ranks)
    return _fragmentation(ranks, neighbours), _low_rank(neighbours)


def _neighbours(ranks: Sequence[Ranked]) -> list[tuple[Ranked, Ranked]]:
    """Within each family, each size with the next larger one."""
    families: dict[str, dict[float, Ranked]] = {}
    for one in ranks:
        if one.model.family is not None and one.model.billions is not None:
            # Of one size, as in several precisions, the first that is named.
            families.setdefault(one.model.family, {}).setdefault(one.model.billions, one)
    return [
        (sizes[smaller], sizes[larger])
        for sizes in families.values()
        for smaller, larger in pairwise(sorted(sizes))
    ]


def _fragmentation(ranks: Sequence[Ranked], neighbours: Sequence[tuple[Ranked, Ranked]]) -> Conclusion:
    counted = ", ".join(f"{one.model.label} {one.parts.at_block.beyond_chance}" for one in ranks)
    said = f"Directions beyond chance: {counted}; of {min(one.parts.at_block.pairs for one in ranks)} pairs."
    outcomes = [_fragments(smaller.parts, larger.parts) for smaller, larger in neighbours]
    return answer("fragmentation", every(outcomes), said)


def _fragments(smaller: Parts, larger: Parts) -> Outcome:
    few, many = smaller.at_block.beyond_chance, larger.at_block.beyond_chance
    if few == 0:
        return Outcome.UNDECIDED
    if many > few:
        return Outcome.SUPPORTED
    enough = min(smaller.at_block.pairs, larger.at_block.pairs) >= _PAIRS_FOR_TWO
    return Outcome.NOT_SUPPORTED if enough else Outcome.UNDECIDED


def _low_rank(neighbours: Sequence[tuple[Ranked, Ranked]]) -> Conclusion:
    if not neighbours:
        return answer("low-rank", Outcome.UNDECIDED, "No two sizes of one family are at hand.")
    outcomes, said = [], []
    for smaller, larger in neighbours:
        low, high = rank_difference(smaller.parts, larger.parts)
        outcomes.append(
            Outcome.SUPPORTED if low > 0 else Outcome.NOT_SUPPORTED if high < 0 else Outcome.UNDECIDED
        )
        said.append(f"{_rank_words(smaller)}, {_rank_words(larger)}, apart by {low:.2f} to {high:.2f}")
    return answer("low-rank", every(outcomes), "Effective rank: " + "; ".join(said))


def _rank_words(one: Ranked) -> str:
    return f"{one.model.label} {one.parts.by_block.at(_RANK, one.parts.block).value:.2f}"


def rank_difference(smaller: Parts, larger: Parts) -> Interval:
    """The 95% interval of the larger model's effective rank minus the smaller's, each at its block.

    The same pairs are resampled in both. As repeats lower every rank, and not by the same in both, the middle 95% of the
    draws is moved until its median is the difference itself (`rank_by_block`).
    """
    first, second = larger.by_block, smaller.by_block
    value = first.values[_RANK][larger.block] - second.values[_RANK][smaller.block]
    draws = first.draws[_RANK][:, larger.block] - second.draws[_RANK][:, smaller.block]
    low, middle, high = np.quantile(draws, (0.025, 0.5, 0.975))
    return Interval(float(value + low - middle), float(value + high - middle))
