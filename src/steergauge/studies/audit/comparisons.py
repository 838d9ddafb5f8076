"""Rates that the text compares: Fisher's p, Cohen's h and the difference, then the paired test that was due."""

from decimal import Decimal
from typing import NamedTuple

from steergauge.statistics.comparisons import compare_paired_counts, possible_pairings
from steergauge.statistics.power import paired_prompts_needed
from steergauge.statistics.proportions import Interval
from steergauge.statistics.unpaired import (
    Count,
    barnard_p_value,
    cohens_h,
    fisher_p_value,
    newcombe_difference,
)
from steergauge.studies.audit.finding import Finding, Stands, agrees, p_words, tolerance
from steergauge.studies.published import Concludes, Published, PublishedComparison, PublishedRate

LEVEL = 0.05
# A loss smaller than this counts as none; the paper's smallest claimed effect is twice it.
EQUIVALENCE = 0.10


class DueTest(NamedTuple):
    """The result that was due: over distinct prompts, paired where both conditions had the same ones."""

    name: str
    low: float  # the smallest and the largest p value that the published counts allow
    high: float

    @property
    def words(self) -> str:
        """The test and its p value, or the range of them."""
        if abs(self.high - self.low) < 1e-12:
            return f"{self.name}: p = {p_words(self.low)}"
        return f"{self.name}: p = {p_words(self.low)} to {p_words(self.high)}, by how prompts pair"

    @property
    def significant(self) -> bool | None:
        """Whether p is under the level; None where the pairing decides."""
        if self.low > LEVEL or self.high <= LEVEL:
            return self.high <= LEVEL
        return None


def due_test(first: Count, second: Count) -> DueTest:
    """Exact McNemar over all possible pairings; Fisher where the conditions had different prompts."""
    if first.n != second.n:
        return DueTest("Fisher over distinct prompts", *(fisher_p_value(first, second),) * 2)
    pairings = possible_pairings(first.successes, second.successes, first.n)
    p_values = [compare_paired_counts(pairing).p_value for pairing in pairings]
    return DueTest(f"McNemar on {first.n} prompts", min(p_values), max(p_values))


def due_interval(first: Count, second: Count) -> Interval:
    """The widest reach of the paired interval of the difference over all pairings; unpaired where it must be."""
    if first.n != second.n:
        return newcombe_difference(first, second)
    pairings = possible_pairings(first.successes, second.successes, first.n)
    found = [compare_paired_counts(pairing) for pairing in pairings]
    return Interval(min(one.low for one in found), max(one.high for one in found))


def audit_comparisons(study: Published) -> list[Finding]:
    """For each comparison: every number that is printed, and the conclusion."""
    findings: list[Finding] = []
    for comparison in study.comparisons:
        first, second = study.rate(comparison.first), study.rate(comparison.second)
        findings += _numbers(comparison, first, second)
        findings.append(_conclusion(comparison, first, second))
    return findings


def _numbers(comparison: PublishedComparison, first: PublishedRate, second: PublishedRate) -> list[Finding]:
    rates = [rate.counted.successes / rate.n for rate in (first, second)]
    found = []
    if comparison.difference is not None:
        points = 100 * (rates[0] - rates[1])
        found.append(_number(comparison, (first, second), "difference", comparison.difference, points))
    if comparison.h is not None:
        found.append(_number(comparison, (first, second), "h", comparison.h, cohens_h(*rates)))
    printed = comparison.p or comparison.p_below
    if printed is not None:
        found.append(_p_value(comparison, first, second, printed))
    return found


def _number(
    comparison: PublishedComparison,
    rates: tuple[PublishedRate, PublishedRate],
    name: str,
    printed: Decimal,
    value: float,
) -> Finding:
    first, second = rates
    words, form = {"difference": ("difference", "{} points"), "h": ("Cohen’s h", "h = {}")}[name]
    return Finding(
        id=f"{comparison.id}/{name}",
        place=comparison.place,
        claim=f"{_what(comparison)}: {words}",
        published=form.format(printed),
        recomputed=form.format(f"{value:.1f}" if name == "difference" else f"{value:.2f}"),
        agrees=agrees(printed, value),
        tolerance=tolerance(printed),
        n=first.n,
        prompts=min(first.prompts, second.prompts),
        due=_counts(first.counted, second.counted),
        values={name: value},
    )


def _p_value(
    comparison: PublishedComparison, first: PublishedRate, second: PublishedRate, printed: Decimal
) -> Finding:
    counted, distinct = (first.counted, second.counted), (first.distinct, second.distinct)
    p_value, on_prompts = fisher_p_value(*counted), fisher_p_value(*distinct)
    one_sided = fisher_p_value(*counted, alternative="greater")
    bound = comparison.p is None
    return Finding(
        id=f"{comparison.id}/p",
        place=comparison.place,
        claim=f"{_what(comparison)}: Fisher’s exact p",
        published=f"p {'<' if bound else '='} {printed}",
        recomputed=f"p = {p_words(p_value)}",
        agrees=p_value < float(printed) if bound else agrees(printed, p_value),
        tolerance=None if bound else tolerance(printed),
        n=first.n,
        prompts=min(first.prompts, second.prompts),
        due=f"{_counts(*counted)}; one-sided {p_words(one_sided)}; on distinct prompts, "
        f"{_counts(*distinct)}: {p_words(on_prompts)}",
        meaning=comparison.note,
        values={
            "p": p_value,
            "p_one_sided": one_sided,
            "p_distinct": on_prompts,
            "p_barnard_distinct": barnard_p_value(*distinct),
        },
    )


def _conclusion(comparison: PublishedComparison, first: PublishedRate, second: PublishedRate) -> Finding:
    one, other = first.distinct, second.distinct
    test, interval = due_test(one, other), due_interval(one, other)
    stands = _stands(comparison.concludes, test, interval)
    unpaired = fisher_p_value(one, other)
    reach = f"{100 * interval.low:+.0f} to {100 * interval.high:+.0f} points"
    return Finding(
        id=f"{comparison.id}/conclusion",
        place=comparison.place,
        claim=comparison.claim,
        published="",
        recomputed=_counts(one, other),
        stands=stands,
        n=first.n,
        prompts=min(one.n, other.n),
        due=f"{test.words}; difference {reach}; unpaired, Fisher: {p_words(unpaired)}",
        meaning=_meaning(comparison.concludes, stands, one, other),
        values={
            "p_low": test.low,
            "p_high": test.high,
            "p_unpaired": unpaired,
            "p_unpaired_one_sided": fisher_p_value(one, other, alternative="greater"),
            "low": interval.low,
            "high": interval.high,
        },
    )


def _stands(concludes: Concludes, test: DueTest, interval: Interval) -> Stands:
    if concludes is Concludes.SAME:
        within = max(-interval.low, interval.high) <= EQUIVALENCE
        return Stands.YES if within else Stands.NO if test.significant else Stands.UNDECIDED
    if test.significant is None:
        return Stands.UNDECIDED
    return Stands.YES if test.significant is (concludes is Concludes.DIFFER) else Stands.NO


def _meaning(concludes: Concludes, stands: Stands, one: Count, other: Count) -> str:
    if concludes is Concludes.SAME and stands is Stands.UNDECIDED:
        return "no difference was found, but one of more than ten points cannot be ruled out"
    if concludes is Concludes.DIFFER and stands is not Stands.YES:
        rates = [count.successes / count.n for count in (one, other)]
        needed = paired_prompts_needed(abs(rates[0] - rates[1]), 0.0)
        spread = min(0.1, 1 - abs(rates[0] - rates[1]))
        more = paired_prompts_needed(abs(rates[0] - rates[1]) + spread / 2, spread / 2)
        return (
            f"such a difference needs {needed} to {more} prompts for 80% power (no prompt changing the other "
            "way; 5% doing so)"
        )
    return ""


def _what(comparison: PublishedComparison) -> str:
    return comparison.claim.partition(":")[0] if ":" in comparison.claim else comparison.claim


def _counts(first: Count, second: Count) -> str:
    return f"{first.successes}/{first.n} against {second.successes}/{second.n}"
