from itertools import product
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steergauge.errors import SteergaugeError
from steergauge.statistics.optimism import optimism_from_counts, optimism_from_outcomes


def test_the_optimism_of_two_equal_conditions_is_that_of_the_larger_binomial() -> None:
    """With one true rate p, the excess is E[max of two binomials] / n − p, which can be summed."""
    n, rate = 10, 0.5
    mass = [comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(n + 1)]
    expected = sum(mass[i] * mass[j] * max(i, j) for i, j in product(range(n + 1), repeat=2)) / n - rate
    found = optimism_from_counts([5, 5], n, simulations=100_000)
    assert found.best == 0.5
    assert found.optimism == pytest.approx(expected, abs=0.002)


def test_a_single_condition_and_certain_rates_have_none() -> None:
    assert optimism_from_counts([5], 10, simulations=100_000).optimism == pytest.approx(0, abs=0.002)
    assert optimism_from_counts([10, 10, 0], 10).optimism == 0


def test_of_tied_conditions_any_one_is_chosen_whatever_their_order() -> None:
    """A rate of 8/10 reaches 10/10 with .8¹⁰, and is then chosen half the time beside a certain 10/10."""
    expected = 0.8**10 * 0.2 / 2
    for counts in ([8, 10], [10, 8]):
        found = optimism_from_counts(counts, 10, simulations=200_000)
        assert found.optimism == pytest.approx(expected, abs=0.001)


def test_more_conditions_of_one_rate_have_more() -> None:
    found = [optimism_from_counts([5] * number, 10).optimism for number in (1, 2, 5, 20)]
    assert found == sorted(found)
    assert found[-1] > 0.2


def test_conditions_that_agree_prompt_by_prompt_have_no_optimism() -> None:
    """As counts, the same rates would have: what only the outcomes know."""
    same = {str(number): number < 5 for number in range(10)}
    assert optimism_from_outcomes([same, dict(same)]).optimism == pytest.approx(0, abs=0.01)
    other = {str(number): number >= 5 for number in range(10)}
    assert optimism_from_outcomes([same, other]).optimism > 0.1


@settings(max_examples=20)
@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=5))
def test_the_best_is_the_highest_rate_and_a_seed_gives_the_optimism_again(rows: list[list[bool]]) -> None:
    conditions = [{str(number): outcome for number, outcome in enumerate(row)} for row in rows]
    found = optimism_from_outcomes(conditions, resamples=200)
    assert found.best == pytest.approx(max(sum(row) for row in rows) / 6)
    assert found.conditions == len(rows)
    assert found == optimism_from_outcomes(conditions, resamples=200)


def test_what_cannot_be_chosen_from_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one condition"):
        optimism_from_counts([], 10)
    with pytest.raises(ValueError, match="must be within"):
        optimism_from_counts([11], 10)
    with pytest.raises(SteergaugeError, match="same prompts"):
        optimism_from_outcomes([{"a": True}, {"b": True}])
    with pytest.raises(SteergaugeError, match="at least one condition"):
        optimism_from_outcomes([])
