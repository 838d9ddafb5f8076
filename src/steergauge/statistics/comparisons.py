"""Comparing two conditions on the same prompts, and correcting for how many comparisons were made."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from scipy.stats import false_discovery_control
from statsmodels.stats.contingency_tables import mcnemar

from steergauge.errors import SteergaugeError
from steergauge.statistics.proportions import Interval, require_counts, wilson_interval


class PairedComparison(NamedTuple):
    """One condition against another, prompt by prompt; rates as fractions of one."""

    gained: int  # prompts that succeed when treated and not in the reference
    lost: int  # prompts that succeed in the reference and not when treated
    difference: float  # rate when treated minus rate in the reference
    low: float  # 95% interval of the difference
    high: float
    p_value: float  # two-sided, not corrected for other comparisons


class PairedTable(NamedTuple):
    """Prompts by their outcomes in two conditions (Newcombe's e, f, g, h)."""

    both: int
    gained: int  # succeed when treated and not in the reference
    lost: int  # succeed in the reference and not when treated
    neither: int


def distinct_prompts(observations: Iterable[tuple[str, bool]]) -> dict[str, bool]:
    """Counts the observations of one condition under greedy decoding: each prompt's success, once.

    Every rate and comparison is to be made from what this returns, so that what n means is decided in one
    place. Greedy decoding gives a prompt the same output each time, hence a repeat adds no information
    (pseudo-replication, methods.md §7): the study's "n = 50" is 10 prompts five times.

    Raises:
        SteergaugeError: a prompt occurs more than once.
    """
    outcomes: dict[str, bool] = {}
    for prompt, success in observations:
        if prompt in outcomes:
            raise SteergaugeError(
                f"the prompt {prompt!r} was observed more than once in one condition; a repeat under greedy "
                "decoding is one observation, and counting it again makes intervals too narrow: keep each "
                "prompt once"
            )
        outcomes[prompt] = success
    return outcomes


def compare_paired(treated: Mapping[str, bool], reference: Mapping[str, bool]) -> PairedComparison:
    """Compares two conditions measured on the same prompts, each given as prompt → success.

    Assumes that prompts are independent of each other, and each counted once (`distinct_prompts`). The p
    value is McNemar's exact test: under no effect, `gained` is binomial with one half among the prompts that
    changed. The interval is Newcombe's and may disagree with the test near the edge of significance.

    Raises:
        SteergaugeError: the conditions were not measured on the same prompts, or there are none.
    """
    _require_same_prompts(treated, reference)
    outcomes = [(treated[prompt], reference[prompt]) for prompt in treated]
    return compare_paired_counts(
        PairedTable(
            both=sum(here and there for here, there in outcomes),
            gained=sum(here and not there for here, there in outcomes),
            lost=sum(there and not here for here, there in outcomes),
            neither=sum(not here and not there for here, there in outcomes),
        )
    )


def compare_paired_counts(table: PairedTable) -> PairedComparison:
    """Compares two conditions of which the paired counts are known; assumes what `compare_paired` does.

    Raises:
        ValueError: a count is negative, or there are no prompts.
    """
    if min(table) < 0 or sum(table) == 0:
        raise ValueError(f"paired counts are not negative and not all zero, unlike {tuple(table)}")
    test = mcnemar([[table.both, table.gained], [table.lost, table.neither]], exact=True)
    interval = _newcombe_interval(table)
    return PairedComparison(
        gained=table.gained,
        lost=table.lost,
        difference=(table.gained - table.lost) / sum(table),
        low=interval.low,
        high=interval.high,
        p_value=float(test.pvalue),
    )


def possible_pairings(treated: int, reference: int, n: int) -> list[PairedTable]:
    """Every way in which `treated` and `reference` successes on the same `n` prompts may go together.

    Published tables give a rate a condition and not which prompts succeeded. A paired test then has one
    result for each of these tables: a conclusion stands when all of them give it. Where one rate is 0 or 1
    there is only one table, and the paired result is known.

    Returns:
        The tables, the one with the most prompts in agreement first.

    Raises:
        ValueError: a count is not within 0 … `n`.
    """
    for count in (treated, reference):
        require_counts(count, n)
    overlaps = range(min(treated, reference), max(0, treated + reference - n) - 1, -1)
    return [
        PairedTable(both, treated - both, reference - both, n - treated - reference + both)
        for both in overlaps
    ]


def adjust_holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given; assumes nothing about how the tests depend.

    An adjusted value at or under α is significant with the chance of any false finding held at α. Source:
    Holm 1979, Scandinavian Journal of Statistics 6:65.

    Raises:
        ValueError: a p value is not within 0 … 1.
    """
    _require_p_values(p_values)
    # Not statsmodels' multipletests: it collects garbage at each call, .4 s in a process that holds torch.
    count = len(p_values)
    in_order = sorted(range(count), key=p_values.__getitem__)
    adjusted, largest = [0.0] * count, 0.0
    for rank, place in enumerate(in_order):
        largest = max(largest, min(1.0, (count - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def adjust_benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's adjusted p values, in the order given.

    Calling those at or under q significant holds the expected share of false ones among them at q: weaker
    than Holm, and for exploring many conditions. Assumes tests that are independent or positively dependent.
    Source: Benjamini and Hochberg 1995, Journal of the Royal Statistical Society B 57:289.

    Raises:
        ValueError: a p value is not within 0 … 1.
    """
    _require_p_values(p_values)
    return [float(adjusted) for adjusted in false_discovery_control(p_values)] if p_values else []


def _require_p_values(p_values: Sequence[float]) -> None:
    for p_value in p_values:
        if not 0 <= p_value <= 1:
            raise ValueError(f"a p value is within 0 … 1, not {p_value}")


def _require_same_prompts(treated: Mapping[str, bool], reference: Mapping[str, bool]) -> None:
    if not treated and not reference:
        raise SteergaugeError("a paired comparison needs at least one prompt, and there are none")
    unpaired = sorted(treated.keys() ^ reference.keys())
    if unpaired:
        side = "treated condition" if unpaired[0] in treated else "reference"
        raise SteergaugeError(
            f"a paired comparison needs the same prompts in both conditions: {len(unpaired)} prompt(s) stand "
            f"in one alone, the first, {unpaired[0]!r}, in the {side}"
        )


def _newcombe_interval(table: PairedTable) -> Interval:
    """The 95% interval for a difference of paired proportions, by Newcombe's method 10.

    Wilson's interval of each rate, combined by squaring and adding, less what the correlation φ̂ of the two
    outcomes explains; a positive φ̂ is reduced by a continuity correction. It stays within −1 … 1, and has a
    width also where no prompt changed. Source: Newcombe 1998, Statistics in Medicine 17:2635. By hand because
    statsmodels 0.15 has it for independent samples only (`confint_proportions_2indep`) and scipy 1.17 not at
    all; statsmodels' development version has `confint_proportions_paired`, to replace it once released.
    """
    n = sum(table)
    treated_count, reference_count = table.both + table.gained, table.both + table.lost
    treated_rate, reference_rate = treated_count / n, reference_count / n
    treated, reference = wilson_interval(treated_count, n), wilson_interval(reference_count, n)
    correlation = _newcombe_correlation(table)

    def combine(treated_distance: float, reference_distance: float) -> float:
        shared = 2 * correlation * treated_distance * reference_distance
        # Not negative for |φ̂| ≤ 1 but for rounding.
        return math.sqrt(max(treated_distance**2 - shared + reference_distance**2, 0.0))

    difference = (table.gained - table.lost) / n
    low = difference - combine(treated_rate - treated.low, reference.high - reference_rate)
    high = difference + combine(treated.high - treated_rate, reference_rate - reference.low)
    return Interval(max(low, -1.0), min(high, 1.0))


def _newcombe_correlation(table: PairedTable) -> float:
    """Newcombe's φ̂: the correlation of the paired outcomes; 0 where one of the rates is 0 or 1."""
    both, gained, lost, neither = table
    margins = (both + gained) * (lost + neither) * (both + lost) * (gained + neither)
    if margins == 0:
        return 0.0
    association = float(both * neither - gained * lost)
    if association > 0:
        association = max(association - sum(table) / 2, 0.0)
    return association / math.sqrt(margins)
