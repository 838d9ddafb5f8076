"""Whether a rate rises or falls over ordered groups, such as the sizes of a model family."""

from collections import defaultdict
from collections.abc import Sequence
from math import comb
from typing import NamedTuple

import numpy as np
from statsmodels.stats.contingency_tables import Table

from steergauge.statistics.proportions import require_counts


class Trend(NamedTuple):
    """The Cochran–Armitage test."""

    z: float  # positive where the rate rises with the score
    p_value: float  # two-sided, normal approximation


def cochran_armitage(
    successes: Sequence[int], totals: Sequence[int], scores: Sequence[float] | None = None
) -> Trend:
    """Tests for a linear trend of the rates over groups with `scores`, by default their order.

    Assumes that groups are independent samples. Models asked the *same* prompts are not: the test then wastes
    what the pairing tells, and only outcomes prompt by prompt would do better (Cochran's Q, Page's L). Fewer
    than about five expected successes or failures in a group make the normal p value rough: then use
    `exact_trend_p_value`. A small p value says that the rates change with the score somewhere, not at each
    step. The statistic is linear-by-linear, with n − 1; R's `prop.trend.test` has n. Source: Agresti 2002,
    Categorical Data Analysis, section 5.3.

    Raises:
        ValueError: fewer than two groups, a count outside 0 … its total, an empty group, or equal scores.
    """
    scores = _scores(successes, totals, scores)
    failures = [total - count for count, total in zip(successes, totals, strict=True)]
    if 0 in (sum(successes), sum(failures)):
        return Trend(0.0, 1.0)
    table = np.array([failures, successes]).T
    # Without `shift_zeros=False` statsmodels adds a half to every cell when one is zero.
    found = Table(table, shift_zeros=False).test_ordinal_association(row_scores=np.array(scores))
    return Trend(float(found.zscore), float(found.pvalue))


def exact_trend_p_value(
    successes: Sequence[int], totals: Sequence[int], scores: Sequence[float] | None = None
) -> float:
    """The two-sided p value of the same test, exact over all tables with the same margins.

    It is the share of all ways to place the successes whose score sum lies as far from its mean as the one
    observed. Assumes what `cochran_armitage` does, but no number of prompts; takes seconds past a few hundred.

    Raises:
        ValueError: as `cochran_armitage`.
    """
    scores = _scores(successes, totals, scores)
    failures = [total - count for count, total in zip(successes, totals, strict=True)]
    counts = min(successes, failures, key=sum)  # the rarer outcome has fewer ways, and the same p value
    # (placed so far, their score sum) → in how many ways; neither scipy nor statsmodels has this test.
    ways: dict[tuple[int, float], int] = {(0, 0.0): 1}
    for total, score in zip(totals, scores, strict=True):
        extended: defaultdict[tuple[int, float], int] = defaultdict(int)
        for (count, score_sum), number in ways.items():
            for added in range(min(total, sum(counts) - count) + 1):
                extended[count + added, round(score_sum + added * score, 9)] += number * comb(total, added)
        ways = extended
    sums = {score_sum: number for (count, score_sum), number in ways.items() if count == sum(counts)}
    mean = sum(counts) * sum(t * s for t, s in zip(totals, scores, strict=True)) / sum(totals)
    observed = abs(sum(c * s for c, s in zip(counts, scores, strict=True)) - mean)
    extreme = sum(number for score_sum, number in sums.items() if abs(score_sum - mean) >= observed - 1e-7)
    return extreme / sum(sums.values())


def _scores(successes: Sequence[int], totals: Sequence[int], scores: Sequence[float] | None) -> list[float]:
    scores = [float(score) for score in (range(len(totals)) if scores is None else scores)]
    if not len(successes) == len(totals) == len(scores) >= 2:
        raise ValueError("a trend needs two groups or more, each with successes, a total and a score")
    for count, total in zip(successes, totals, strict=True):
        require_counts(count, total)
    if min(totals) == 0 or len(set(scores)) == 1:
        raise ValueError("a trend needs groups that are not empty and have different scores")
    return scores
