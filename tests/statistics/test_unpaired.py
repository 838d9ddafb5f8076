from math import comb, pi

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from steergauge.statistics.unpaired import (
    Count,
    barnard_p_value,
    cohens_h,
    fisher_p_value,
    newcombe_difference,
)


@st.composite
def counts(draw: st.DrawFn, most: int = 30) -> Count:
    n = draw(st.integers(min_value=1, max_value=most))
    return Count(draw(st.integers(min_value=0, max_value=n)), n)


# Newcombe 1998, Statistics in Medicine 17:873, Table II, method 10.
@pytest.mark.parametrize(
    ("first", "second", "published"),
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((6, 7), (2, 7), (0.0582, 0.8062)),
        ((5, 56), (0, 29), (-0.0381, 0.1926)),
        ((0, 10), (0, 20), (-0.1611, 0.2775)),
        ((0, 10), (0, 10), (-0.2775, 0.2775)),
        ((10, 10), (0, 20), (0.6791, 1.0)),
        ((10, 10), (0, 10), (0.6075, 1.0)),
    ],
)
def test_the_interval_of_a_difference_is_newcombes_published_one(
    first: tuple[int, int], second: tuple[int, int], published: tuple[float, float]
) -> None:
    found = newcombe_difference(Count(*first), Count(*second))
    assert (round(found.low, 4), round(found.high, 4)) == published


@pytest.mark.parametrize(
    ("first", "second", "two_sided", "one_sided"),
    [
        (
            (3, 4),
            (1, 4),
            0.4857,
            0.2429,
        ),  # the lady tasting tea: Agresti, Categorical Data Analysis, table 3.8
        # The rows of methods.md, section 7.
        ((50, 50), (30, 50), 1.76e-7, 8.79e-8),
        ((10, 10), (6, 10), 0.0867, 0.0433),
        ((30, 30), (23, 30), 0.0105, 0.0053),
        ((30, 50), (5, 50), 1.96e-7, 9.79e-8),
        ((6, 10), (1, 10), 0.0573, 0.0286),
        ((23, 30), (17, 30), 0.1702, 0.0851),
    ],
)
def test_fishers_p_values_are_the_known_ones(
    first: tuple[int, int], second: tuple[int, int], two_sided: float, one_sided: float
) -> None:
    counted = Count(*first), Count(*second)
    assert fisher_p_value(*counted) == pytest.approx(two_sided, abs=5e-5, rel=5e-3)
    assert fisher_p_value(*counted, alternative="greater") == pytest.approx(one_sided, abs=5e-5, rel=5e-3)


@given(counts(), counts())
def test_fishers_p_value_is_the_sum_over_the_tables_that_are_no_likelier(first: Count, second: Count) -> None:
    successes, n = first.successes + second.successes, first.n + second.n
    ways = {
        count: comb(first.n, count) * comb(second.n, successes - count)
        for count in range(max(0, successes - second.n), min(first.n, successes) + 1)
    }
    extreme = sum(number for number in ways.values() if number <= ways[first.successes])
    assert fisher_p_value(first, second) == pytest.approx(extreme / comb(n, successes), rel=1e-6)


def barnard_by_brute_force(first: Count, second: Count) -> float:
    """Barnard's p value from every table, over a fine grid of the common rate."""

    def z(count: int, other: int) -> float:
        pooled = (count + other) / (first.n + second.n)
        variance = pooled * (1 - pooled) * (1 / first.n + 1 / second.n)
        return abs(count / first.n - other / second.n) / variance**0.5 if variance else 0.0

    observed = z(first.successes, second.successes)
    rates = np.linspace(0.0005, 0.9995, 2000)
    total = np.zeros_like(rates)
    for count in range(first.n + 1):
        for other in range(second.n + 1):
            if z(count, other) >= observed - 1e-9:
                ways = comb(first.n, count) * comb(second.n, other)
                total += ways * rates ** (count + other) * (1 - rates) ** (first.n + second.n - count - other)
    return float(total.max())


@pytest.mark.parametrize(
    ("first", "second"),
    [((10, 10), (6, 10)), ((7, 15), (12, 15)), ((6, 10), (1, 10)), ((2, 6), (9, 11)), ((0, 5), (6, 7))],
)
def test_barnards_p_value_is_that_of_every_table_enumerated(
    first: tuple[int, int], second: tuple[int, int]
) -> None:
    counted = Count(*first), Count(*second)
    assert barnard_p_value(*counted) == pytest.approx(barnard_by_brute_force(*counted), rel=2e-3)


@settings(max_examples=10)
@given(counts(most=8), counts(most=8))
def test_barnards_p_value_is_symmetric_and_one_where_nothing_differs(first: Count, second: Count) -> None:
    found = barnard_p_value(first, second)
    assert 0 < found <= 1
    assert found == pytest.approx(barnard_p_value(second, first), rel=1e-4)
    assert barnard_p_value(Count(0, first.n), Count(0, second.n)) == 1
    assert barnard_p_value(Count(first.n, first.n), Count(second.n, second.n)) == 1


@pytest.mark.parametrize(
    ("first", "second", "published"),
    [
        (0.65, 0.50, 0.30),  # Cohen 1988, table 6.2.2: φ = 1.875, 1.571
        (0.95, 0.05, 2.24),  # φ = 2.691, .451
        # methods.md, section 7.
        (1.0, 0.6, 1.37),
        (0.9, 0.7, 0.52),
        (23 / 30, 17 / 30, 0.43),
        (29 / 30, 0.0, 2.77),
    ],
)
def test_cohens_h_is_the_published_one(first: float, second: float, published: float) -> None:
    assert round(cohens_h(first, second), 2) == published


@given(counts(), counts())
@example(Count(0, 3), Count(25, 25))  # whose sum of squares rounds to more than 1
def test_a_difference_is_within_its_interval_which_mirrors_when_swapped(first: Count, second: Count) -> None:
    found, swapped = newcombe_difference(first, second), newcombe_difference(second, first)
    difference = first.successes / first.n - second.successes / second.n
    assert found.low >= -1
    assert found.low <= difference + 1e-12
    assert difference <= found.high + 1e-12
    assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low), abs=1e-12)


@given(st.floats(0, 1), st.floats(0, 1))
def test_cohens_h_is_antisymmetric_and_bounded_by_pi(first: float, second: float) -> None:
    assert cohens_h(first, second) == pytest.approx(-cohens_h(second, first), abs=1e-12)
    assert abs(cohens_h(first, second)) <= pi + 1e-12


def test_what_cannot_be_counted_is_refused() -> None:
    for function in (newcombe_difference, fisher_p_value, barnard_p_value):
        with pytest.raises(ValueError, match="must be within 0"):
            function(Count(3, 2), Count(1, 2))
        with pytest.raises(ValueError, match="at least one observation"):
            function(Count(1, 2), Count(0, 0))
    with pytest.raises(ValueError, match="fraction within 0"):
        cohens_h(60, 0.5)
