from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from steergauge.statistics.power import (
    paired_power,
    paired_prompts_needed,
    unpaired_power,
    unpaired_prompts_needed,
)

# To the thousandth: scipy's binomial overflows at probabilities of 1e-308.
SHARES = st.integers(0, 500).map(lambda thousandths: thousandths / 1000)


def test_the_unpaired_power_is_that_of_rs_documentation() -> None:
    """`power.prop.test(n = 50, p1 = .50, p2 = .75)`: 0.740; with power = .90: n = 76.7."""
    assert unpaired_power(0.50, 0.75, 50) == pytest.approx(0.740, abs=5e-4)
    assert unpaired_prompts_needed(0.50, 0.75, power=0.90) == 77


def test_the_paired_power_is_that_of_gpowers_manual() -> None:
    """Its McNemar example, one-sided at .05: odds ratio .25, discordant .4, N = 50 gives 0.839343.

    The two-sided test at .10 rejects there, and once in 65,000 on the other side.
    """
    assert paired_power(0.32, 0.08, 50, alpha=0.10) == pytest.approx(0.839343, abs=2e-5)


@pytest.mark.parametrize(("gained", "lost", "n"), [(0.4, 0.1, 6), (0.3, 0.3, 6), (1.0, 0.0, 6)])
def test_the_paired_power_is_that_of_every_outcome_enumerated(gained: float, lost: float, n: int) -> None:
    power = 0.0
    for outcome in product((1, -1, 0), repeat=n):
        up, down = outcome.count(1), outcome.count(-1)
        if up + down and binomtest(up, up + down).pvalue <= 0.05:
            power += gained**up * lost**down * (1 - gained - lost) ** (n - up - down)
    assert paired_power(gained, lost, n) == pytest.approx(power, rel=1e-9)


@settings(max_examples=25)
@given(SHARES, SHARES, st.integers(1, 60))
def test_the_paired_power_is_symmetric_and_under_no_effect_at_most_the_level(
    gained: float, lost: float, n: int
) -> None:
    assert paired_power(gained, lost, n) == pytest.approx(paired_power(lost, gained, n), abs=1e-9)
    assert paired_power(gained, gained, n) <= 0.05 + 1e-9


@pytest.mark.parametrize(("gained", "lost"), [(0.2, 0.0), (0.25, 0.05), (0.4, 0.0)])
def test_with_the_prompts_needed_the_power_is_reached_and_kept(gained: float, lost: float) -> None:
    needed = paired_prompts_needed(gained, lost)
    assert all(paired_power(gained, lost, n) >= 0.8 for n in range(needed, needed + 10))
    assert paired_power(gained, lost, needed - 1) < 0.8


def test_pairing_takes_fewer_prompts_where_few_change_the_other_way() -> None:
    """77% against 57%: 87 prompts a side unpaired, 39 in all at best."""
    assert unpaired_prompts_needed(23 / 30, 17 / 30) == 87
    assert paired_prompts_needed(0.2, 0.0) == 39


def test_what_no_number_of_prompts_finds_is_refused() -> None:
    with pytest.raises(ValueError, match="equal rates"):
        unpaired_prompts_needed(0.5, 0.5)
    with pytest.raises(ValueError, match="as many are gained as lost"):
        paired_prompts_needed(0.1, 0.1)
    with pytest.raises(ValueError, match="sum to 1 at most"):
        paired_power(0.7, 0.4, 10)
    with pytest.raises(ValueError, match="at least one prompt"):
        unpaired_power(0.5, 0.6, 0)
    with pytest.raises(ValueError, match="within 0"):
        unpaired_power(50, 0.6, 10)
