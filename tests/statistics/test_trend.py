from itertools import product
from math import comb, prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steergauge.statistics.trend import cochran_armitage, exact_trend_p_value


def test_the_trend_of_smokers_is_that_of_rs_documentation() -> None:
    """R's `prop.trend.test` gives X² = 8.2249 over its n = 397; ours has n − 1."""
    found = cochran_armitage([83, 90, 129, 70], [86, 93, 136, 82])
    assert found.z**2 * 397 / 396 == pytest.approx(8.2249, abs=5e-5)
    assert found.z < 0


def test_the_trend_of_malformations_is_agrestis() -> None:
    """Agresti, Categorical Data Analysis, section 3.4.5 and 5.3: M² = 6.57, P = .01, with midpoint scores."""
    found = cochran_armitage([48, 38, 5, 1, 1], [17114, 14502, 793, 127, 38], scores=[0, 0.5, 1.5, 4, 7])
    assert round(found.z**2, 2) == 6.57
    assert round(found.p_value, 2) == 0.01


def by_enumeration(successes: list[int], totals: list[int], scores: list[float]) -> float:
    mean = sum(successes) * sum(t * s for t, s in zip(totals, scores, strict=True)) / sum(totals)
    observed = abs(sum(c * s for c, s in zip(successes, scores, strict=True)) - mean)
    extreme = everything = 0
    for counts in product(*(range(total + 1) for total in totals)):
        if sum(counts) != sum(successes):
            continue
        ways = prod(comb(total, count) for total, count in zip(totals, counts, strict=True))
        everything += ways
        if abs(sum(c * s for c, s in zip(counts, scores, strict=True)) - mean) >= observed - 1e-9:
            extreme += ways
    return extreme / everything


GROUPS = st.lists(
    st.integers(1, 8).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))),
    min_size=2,
    max_size=4,
)


@settings(max_examples=20)
@given(GROUPS, st.lists(st.sampled_from([0.0, 1.0, 2.5, 4.0]), min_size=4, max_size=4, unique=True))
def test_the_exact_p_value_is_that_of_every_table_enumerated(
    groups: list[tuple[int, int]], scores: list[float]
) -> None:
    successes, totals = [list(column) for column in zip(*groups, strict=True)]
    used = scores[: len(groups)]
    found = exact_trend_p_value(successes, totals, used)
    assert found == pytest.approx(by_enumeration(successes, totals, used), rel=1e-9)


@pytest.mark.parametrize("count", [0, 5])
def test_where_nothing_differs_there_is_no_trend(count: int) -> None:
    assert cochran_armitage([count] * 3, [5] * 3) == (0.0, 1.0)
    assert exact_trend_p_value([count] * 3, [5] * 3) == 1.0


@given(GROUPS)
def test_reversing_the_order_turns_the_trend_round(groups: list[tuple[int, int]]) -> None:
    successes, totals = [list(column) for column in zip(*groups, strict=True)]
    found, turned = cochran_armitage(successes, totals), cochran_armitage(successes[::-1], totals[::-1])
    assert turned.z == pytest.approx(-found.z, abs=1e-9)
    assert exact_trend_p_value(successes[::-1], totals[::-1]) == pytest.approx(
        exact_trend_p_value(successes, totals)
    )


def test_a_cell_of_zero_is_left_as_it_is() -> None:
    """z is the correlation of score and success × √(n − 1); a half added to the cells would shrink it."""
    found = cochran_armitage([10, 10, 9, 6], [10, 10, 10, 10])
    score_sum, mean, variance = 3 * 4 + 2, 5 * 1.5, 5 * 35 / 40**2 * 40 / 39 * 40 * 1.25
    assert -found.z == pytest.approx((score_sum - mean) / variance**0.5, rel=1e-9)


@pytest.mark.parametrize(
    ("successes", "totals", "scores"),
    [
        ([1], [2], None),
        ([1, 2], [2], None),
        ([3, 1], [2, 2], None),
        ([0, 1], [0, 2], None),
        ([1, 1], [2, 2], [1, 1]),
    ],
)
def test_what_has_no_trend_is_refused(
    successes: list[int], totals: list[int], scores: list[float] | None
) -> None:
    with pytest.raises(ValueError, match=r"a trend needs|must be within"):
        cochran_armitage(successes, totals, scores)
    with pytest.raises(ValueError, match=r"a trend needs|must be within"):
        exact_trend_p_value(successes, totals, scores)
