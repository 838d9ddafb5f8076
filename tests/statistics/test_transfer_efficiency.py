import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steergauge.errors import SteergaugeError
from steergauge.statistics.transfer import (
    outcomes_from_counts,
    study_transfer_efficiency,
    transfer_efficiency,
)

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=20).filter(
    lambda pairs: any(own for _, own in pairs)
)


def by_prompt(outcomes: list[bool]) -> dict[str, bool]:
    return {str(number): outcome for number, outcome in enumerate(outcomes)}


# The intervals in the study's artifacts, from counts of 30: transferred, own.
@pytest.mark.parametrize(
    ("transferred", "own", "published"),
    [
        (30, 24, (1.25, 1.071, 1.579)),
        (29, 29, (1.00, 0.900, 1.111)),
        (5, 29, (0.17, 0.036, 0.321)),
        (1, 30, (0.03, 0.000, 0.100)),
    ],
)
def test_the_studys_bootstrap_gives_the_studys_intervals(
    transferred: int, own: int, published: tuple[float, float, float]
) -> None:
    found = study_transfer_efficiency(outcomes_from_counts(transferred, 30), outcomes_from_counts(own, 30))
    assert (round(found.ratio, 2), round(found.low, 3), round(found.high, 3)) == published
    assert found.left_out == 0


def test_the_studys_one_draw_is_its_loop_of_draws() -> None:
    """Its code draws the indices of one side, then of the other, 10,000 times over."""
    transferred, own = outcomes_from_counts(3, 8), outcomes_from_counts(2, 8)
    random, ratios = np.random.RandomState(999), []
    for _ in range(10_000):
        above = np.mean([transferred[index] for index in random.randint(0, 8, size=8)])
        below = np.mean([own[index] for index in random.randint(0, 8, size=8)])
        if below > 0:
            ratios.append(above / below)
    found = study_transfer_efficiency(transferred, own)
    assert found.left_out == 10_000 - len(ratios)
    assert found.left_out > 0
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(ratios, [2.5, 97.5])), rel=1e-12)


def test_the_same_outcomes_under_both_directions_have_the_efficiency_one_for_sure() -> None:
    """Paired resampling knows that; the study's, which breaks the pairs, does not."""
    outcomes = outcomes_from_counts(20, 30)
    paired = transfer_efficiency(by_prompt(outcomes), by_prompt(outcomes))
    assert (paired.ratio, paired.low, paired.high) == (1.0, 1.0, 1.0)
    theirs = study_transfer_efficiency(outcomes, outcomes)
    assert theirs.high - theirs.low > 0.5


def test_prompts_that_fail_together_narrow_the_interval() -> None:
    own = outcomes_from_counts(20, 30)
    together = outcomes_from_counts(10, 30)
    apart = together[::-1]
    narrow = transfer_efficiency(by_prompt(together), by_prompt(own))
    wide = transfer_efficiency(by_prompt(apart), by_prompt(own))
    assert narrow.ratio == wide.ratio == 0.5
    assert narrow.high - narrow.low < wide.high - wide.low


def test_a_full_house_leaves_the_interval_of_one_over_the_own_rate() -> None:
    """Then the ratio is n / (own successes), whose resampled successes are binomial."""
    found = transfer_efficiency(
        by_prompt([True] * 30), by_prompt(outcomes_from_counts(24, 30)), resamples=40_000
    )
    assert found.low == pytest.approx(30 / 28, rel=1e-9)
    assert found.high == pytest.approx(30 / 19, rel=1e-9)


@settings(max_examples=25)
@given(PAIRS)
def test_the_ratio_is_within_the_interval_and_a_seed_gives_it_again(pairs: list[tuple[bool, bool]]) -> None:
    transferred, own = ([pair[side] for pair in pairs] for side in (0, 1))
    found = transfer_efficiency(by_prompt(transferred), by_prompt(own), resamples=500)
    assert found.ratio == pytest.approx(sum(transferred) / sum(own))
    assert 0 <= found.low <= found.high
    assert found == transfer_efficiency(by_prompt(transferred), by_prompt(own), resamples=500)
    assert 0 <= found.left_out < 500


def test_what_has_no_efficiency_is_refused() -> None:
    with pytest.raises(SteergaugeError, match="there is none"):
        transfer_efficiency({"a": True}, {"a": False})
    with pytest.raises(SteergaugeError, match="there is none"):
        study_transfer_efficiency([True], [False])
    with pytest.raises(SteergaugeError, match="same prompts"):
        transfer_efficiency({"a": True}, {"b": True})
    with pytest.raises(SteergaugeError, match="not 1 and 2"):
        study_transfer_efficiency([True], [True, False])
