"""Comparing two rates that were measured on different prompts.

Two conditions on the same prompts are paired, and belong to `comparisons.py`: these tests ignore the pairing.
"""

import warnings
from typing import NamedTuple

from scipy.stats import barnard_exact, fisher_exact
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_effectsize

from steergauge.statistics.proportions import Interval, require_counts

_MIRRORED = {"two-sided": "two-sided", "greater": "less", "less": "greater"}


class Count(NamedTuple):
    """Successes among distinct prompts."""

    successes: int
    n: int


def newcombe_difference(first: Count, second: Count, confidence: float = 0.95) -> Interval:
    """The interval for the first rate minus the second, by Newcombe's method 10 (Wilson's limits, squared and added).

    Assumes that the two sets of prompts are independent of each other, and the prompts within each.
    Source: Newcombe 1998, Statistics in Medicine 17:873.

    Raises:
        ValueError: a count is not within 0 … n, or there are no observations.
    """
    _require(first, second)
    low, high = confint_proportions_2indep(*first, *second, method="newcomb", alpha=1 - confidence)
    return Interval(max(-1.0, float(low)), min(1.0, float(high)))  # rounding goes past them


def fisher_p_value(first: Count, second: Count, alternative: str = "two-sided") -> float:
    """Fisher's exact test that both rates are equal; `alternative` may be "greater" (the first) or "less".

    Assumes independent prompts, and conditions on how many succeeded in all; it is therefore conservative.

    Raises:
        ValueError: a count is not within 0 … n, or there are no observations.
    """
    return float(fisher_exact(_table(first, second), alternative=alternative).pvalue)


def barnard_p_value(first: Count, second: Count, alternative: str = "two-sided") -> float:
    """Barnard's exact test that both rates are equal (pooled Wald statistic, worst case over the common rate).

    Assumes what Fisher's does, but conditions on the sizes of the sets alone, so it finds more. Source:
    Barnard 1945, Nature 156:177.

    Raises:
        ValueError: a count is not within 0 … n, or there are no observations.
    """
    successes = first.successes + second.successes
    table = _table(first, second)
    if successes in (0, first.n + second.n):
        return 1.0  # the statistic is 0 / 0, and nothing speaks against equal rates
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # scipy divides 0 by 0 at tables of the same kind
        # Scipy 1.17 compares statistics without a tolerance, and rounding loses tables as extreme as the
        # observed one (2/6 against 9/11: .0498 for .0527). Counting failures for successes, which is the same
        # test, loses others, so the larger p value of the two is right.
        found = [
            barnard_exact(
                [[row[side] for row in table], [row[1 - side] for row in table]], other, n=256
            ).pvalue
            for side, other in ((0, alternative), (1, _MIRRORED[alternative]))
        ]
    return float(min(1.0, max(found)))


def cohens_h(first: float, second: float) -> float:
    """The effect size of two rates: 2·asin(√first) − 2·asin(√second), within −π … π.

    By convention 0.2 is small, 0.5 medium, 0.8 large. It says nothing of how sure the rates are. Source:
    Cohen 1988, Statistical Power Analysis, chapter 6.

    Raises:
        ValueError: a rate is not within 0 … 1.
    """
    for rate in (first, second):
        if not 0 <= rate <= 1:
            raise ValueError(f"a rate is a fraction within 0 … 1, not {rate}")
    return float(proportion_effectsize(first, second))


def _table(first: Count, second: Count) -> list[list[int]]:
    _require(first, second)
    return [[count.successes, count.n - count.successes] for count in (first, second)]


def _require(*counts: Count) -> None:
    for successes, n in counts:
        require_counts(successes, n)
        if n == 0:
            raise ValueError("a comparison needs at least one observation on each side")
