"""The rule of the fault table, at its edges."""

import pytest

from steergauge.studies.fault_rule import study_gap, visibility
from steergauge.studies.measurements import Comparison, Rate
from steergauge.studies.parity_result import Visibility


def compared(p: float, adjusted: float | None = None, difference: float = -0.3) -> Comparison:
    return Comparison(
        n=30, gained=0, lost=9, difference=difference, low=-1, high=1, p_value=p, p_adjusted=adjusted
    )


def share(count: int, n: int = 20) -> Rate:
    return Rate(count=count, n=n, rate=count / n if n else None, low=0, high=1)


RIGHT = compared(0.001, difference=0.7)  # the right direction refuses more than the unsteered model


@pytest.mark.parametrize(
    ("cosine", "against", "expected"),
    [
        (0.949, compared(1.0, 1.0), Visibility.COSINE),
        (-0.99, compared(0.001, 0.001), Visibility.COSINE),
        (0.95, compared(0.001, 0.049), Visibility.BEHAVIOUR),
        (None, compared(0.001, 0.049), Visibility.BEHAVIOUR),
        (0.99, compared(0.049, 0.05), Visibility.UNDECIDED),
        (0.99, compared(0.05, 1.0), Visibility.HARMLESS),
        (1.0, compared(1.0), Visibility.HARMLESS),
    ],
)
def test_a_mistake_shows_first_in_the_cosine_then_in_the_corrected_p(
    cosine: float | None, against: Comparison, expected: Visibility
) -> None:
    assert visibility(cosine, against, RIGHT) is expected


@pytest.mark.parametrize("right", [compared(0.05, difference=0.2), compared(0.001, difference=-0.5)])
def test_nothing_is_called_harmless_where_there_is_nothing_to_lose(right: Comparison) -> None:
    assert visibility(0.99, compared(1.0, 1.0), right) is Visibility.NOTHING_TO_LOSE
    assert visibility(0.99, compared(0.001, 0.001), right) is Visibility.BEHAVIOUR
    assert visibility(0.5, compared(1.0, 1.0), right) is Visibility.COSINE
    assert visibility(1.0, compared(1.0), right) is Visibility.HARMLESS  # the same vector


@pytest.mark.parametrize(
    ("right", "fault", "expected"),
    [(20, 2, True), (12, 0, True), (20, 8, True), (20, 9, False), (11, 0, None), (15, 15, False)],
)
def test_a_gap_like_the_studys_is_60_points_from_at_least_60_percent(
    right: int, fault: int, expected: bool | None
) -> None:
    assert study_gap(share(fault), share(right)) is expected


def test_there_is_no_gap_to_speak_of_without_prompts() -> None:
    assert study_gap(share(0, 0), share(0, 0)) is None
