import pytest
from hypothesis import given
from hypothesis import strategies as st

from steergauge.statistics.window import DoseWindow, dose_window

# The paper's Qwen 32B at L32 (§5.6), with a dose below.
QWEN_32B = {10.0: 0.3667, 15.0: 0.80, 20.0: 0.20, 25.0: 0.0}


def window(rates: dict[float, float], around: float, threshold: float = 0.6) -> DoseWindow:
    return dose_window(rates, around, threshold)


def test_a_window_between_doses_that_fail_is_closed_at_both_ends() -> None:
    assert window(QWEN_32B, around=15) == DoseWindow((15.0,), open_below=False, open_above=False)


def test_a_window_runs_to_both_sides_of_the_dose_and_is_open_where_the_grid_ends() -> None:
    rates = {1.0: 0.7, 2.0: 0.9, 3.0: 0.6, 4.0: 0.1}
    assert window(rates, around=2) == DoseWindow((1.0, 2.0, 3.0), open_below=True, open_above=False)
    rates = {1.0: 0.1, 2.0: 0.9, 3.0: 0.6, 4.0: 0.7}
    assert window(rates, around=3) == DoseWindow((2.0, 3.0, 4.0), open_below=False, open_above=True)


def test_a_single_dose_that_works_is_open_at_both_ends() -> None:
    assert window({15.0: 1.0}, around=15) == DoseWindow((15.0,), open_below=True, open_above=True)


def test_the_window_stops_at_a_gap() -> None:
    rates = {1.0: 0.9, 2.0: 0.5, 3.0: 0.9, 4.0: 0.9, 5.0: 0.5, 6.0: 0.9}
    assert window(rates, around=4) == DoseWindow((3.0, 4.0), open_below=False, open_above=False)
    assert window(rates, around=1) == DoseWindow((1.0,), open_below=True, open_above=False)


def test_the_window_is_empty_and_closed_when_the_dose_does_not_reach_the_threshold() -> None:
    rates = {1.0: 0.9, 2.0: 0.59, 3.0: 0.9}
    empty = DoseWindow((), open_below=False, open_above=False)
    assert window(rates, around=2) == empty
    assert window({2.0: 0.59}, around=2) == empty
    assert window({2.0: float("nan")}, around=2) == empty


def test_a_rate_equal_to_the_threshold_reaches_it() -> None:
    assert window({1.0: 17 / 30, 2.0: 18 / 30, 3.0: 6 / 10}, around=2).doses == (2.0, 3.0)


def test_doses_are_ordered_by_size_and_not_by_when_they_were_tried() -> None:
    rates = {20.0: 0.2, 5.0: 0.9, -5.0: 0.1, 15.0: 0.9, 0.0: 0.9, 10.0: 0.9}
    assert window(rates, around=10) == DoseWindow((0.0, 5.0, 10.0, 15.0), open_below=False, open_above=False)


def test_a_dose_that_was_not_tried_is_refused_with_those_that_were() -> None:
    with pytest.raises(ValueError, match=r"12 was not tried; the doses are 10\.0, 15\.0, 20\.0, 25\.0"):
        window(QWEN_32B, around=12)


RATES = st.dictionaries(st.integers(-20, 20).map(float), st.sampled_from([0.2, 0.5, 0.6, 0.9]), min_size=1)


@given(RATES, st.data())
def test_a_window_is_the_longest_unbroken_run_around_its_dose(
    rates: dict[float, float], data: st.DataObject
) -> None:
    doses = sorted(rates)
    around = data.draw(st.sampled_from(doses))
    found = window(rates, around)
    if rates[around] < 0.6:
        assert found == DoseWindow((), open_below=False, open_above=False)
        return
    first, last = doses.index(found.doses[0]), doses.index(found.doses[-1])
    assert list(found.doses) == doses[first : last + 1]
    assert around in found.doses
    assert all(rates[dose] >= 0.6 for dose in found.doses)
    assert found.open_below == (first == 0)
    assert found.open_below or rates[doses[first - 1]] < 0.6
    assert found.open_above == (last == len(doses) - 1)
    assert found.open_above or rates[doses[last + 1]] < 0.6
