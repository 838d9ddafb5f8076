import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from steergauge.statistics.proportions import Interval, clopper_pearson_interval, wilson_interval


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int]:
    n = draw(st.integers(min_value=1, max_value=500))
    return draw(st.integers(min_value=0, max_value=n)), n


def percent(interval: Interval) -> tuple[float, float]:
    return round(100 * interval.low, 1), round(100 * interval.high, 1)


@pytest.mark.parametrize(
    ("count", "n", "published"),
    [
        # methods.md §7; the paper's text has 88.7.
        (30, 30, (88.6, 100.0)),
        # The paper's tables.
        (50, 50, (92.9, 100.0)),
        (45, 50, (78.6, 95.7)),
        (23, 30, (59.1, 88.2)),
        (29, 30, (83.3, 99.4)),
        (0, 50, (0.0, 7.1)),
        # Newcombe 1998, Statistics in Medicine 17:857, Table I, method 3.
        (81, 263, (25.5, 36.6)),
        (15, 148, (6.2, 16.0)),
        (0, 20, (0.0, 16.1)),
        (1, 29, (0.6, 17.2)),
    ],
)
def test_wilsons_interval_is_the_published_one(count: int, n: int, published: tuple[float, float]) -> None:
    assert percent(wilson_interval(count, n)) == published


@pytest.mark.parametrize(("n", "half_width"), [(30, 16.8), (50, 13.4)])
def test_the_half_width_at_one_half_is_the_recomputed_one(n: int, half_width: float) -> None:
    low, high = wilson_interval(n // 2, n)
    assert round(100 * (high - low) / 2, 1) == half_width


def test_no_or_only_successes_put_an_end_at_exactly_zero_or_one() -> None:
    assert all(wilson_interval(0, n).low == 0 and wilson_interval(n, n).high == 1 for n in range(1, 100))


def test_nothing_observed_leaves_everything_possible() -> None:
    assert wilson_interval(0, 0) == Interval(0.0, 1.0)


@given(counts())
def test_the_interval_holds_the_rate_and_stays_within_zero_and_one(observed: tuple[int, int]) -> None:
    count, n = observed
    low, high = wilson_interval(count, n)
    assert 0 <= low <= count / n <= high <= 1
    assert (low == 0) == (count == 0)
    assert (high == 1) == (count == n)


@given(counts())
def test_the_interval_of_the_failures_is_the_mirror_image(observed: tuple[int, int]) -> None:
    count, n = observed
    low, high = wilson_interval(count, n)
    mirrored = wilson_interval(n - count, n)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)


@given(counts())
def test_more_observations_narrow_it_and_more_confidence_widens_it(observed: tuple[int, int]) -> None:
    count, n = observed
    low, high = wilson_interval(count, n)
    more = wilson_interval(4 * count, 4 * n)
    assert more.high - more.low < high - low
    surer = wilson_interval(count, n, confidence=0.99)
    assert surer.high - surer.low > high - low


@pytest.mark.parametrize(("count", "n"), [(-1, 5), (6, 5), (0, -1), (1, 0)])
def test_impossible_counts_are_refused(count: int, n: int) -> None:
    with pytest.raises(ValueError, match="the count must be within"):
        wilson_interval(count, n)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, float("nan")])
def test_a_confidence_that_is_no_fraction_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        wilson_interval(1, 2, confidence)


# Newcombe 1998, Statistics in Medicine 17:857, Table I, method 5.
@pytest.mark.parametrize(
    ("count", "n", "published"),
    [
        (81, 263, (0.2527, 0.3676)),
        (15, 148, (0.0578, 0.1617)),
        (0, 20, (0.0, 0.1684)),
        (1, 29, (0.0009, 0.1776)),
    ],
)
def test_the_exact_interval_is_the_published_one(count: int, n: int, published: tuple[float, float]) -> None:
    found = clopper_pearson_interval(count, n)
    assert (round(found.low, 4), round(found.high, 4)) == published


@given(counts())
def test_at_the_ends_of_the_exact_interval_the_count_is_as_rare_as_the_level(given_: tuple[int, int]) -> None:
    count, n = given_
    found = clopper_pearson_interval(count, n)
    if count > 0:
        assert binom.sf(count - 1, n, found.low) == pytest.approx(0.025, rel=1e-5)
    if count < n:
        assert binom.cdf(count, n, found.high) == pytest.approx(0.025, rel=1e-5)


def test_the_exact_interval_refuses_what_wilsons_does() -> None:
    assert clopper_pearson_interval(0, 0) == Interval(0.0, 1.0)
    with pytest.raises(ValueError, match="must be within"):
        clopper_pearson_interval(3, 2)
    with pytest.raises(ValueError, match="confidence"):
        clopper_pearson_interval(1, 2, confidence=95)
