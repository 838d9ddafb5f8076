import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, precision_score, recall_score

from steergauge.statistics.agreement import compare_readings, corrected_rate, krippendorff_alpha
from steergauge.statistics.proportions import wilson_interval

CLASSES = ["a", "b", "c"]
LABELS = st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)), min_size=1, max_size=40)


def table(*cells: tuple[str, str, int]) -> tuple[list[str], list[str]]:
    """Two readings with so many items of each (truth, reading)."""
    truth = [true for true, _, count in cells for _ in range(count)]
    reading = [said for _, said, count in cells for _ in range(count)]
    return truth, reading


def test_kappa_of_a_textbook_table() -> None:
    # Wikipedia, "Cohen's kappa": 50 proposals, 20 yes-yes, 15 no-no, 5 and 10 apart: κ = 0.4.
    truth, reading = table(("yes", "yes", 20), ("yes", "no", 5), ("no", "yes", 10), ("no", "no", 15))
    found = compare_readings(truth, reading, ["yes", "no"])
    assert found.kappa.value == pytest.approx(0.4)
    assert found.kappa.low == pytest.approx(0.4 - 1.96 * 0.13, abs=0.05)  # its standard error is about 0.13
    assert found.kappa.high == pytest.approx(0.4 + 1.96 * 0.13, abs=0.05)


@given(LABELS)
def test_figures_are_those_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    truth, reading = [list(side) for side in zip(*pairs, strict=True)]
    found = compare_readings(truth, reading, CLASSES)
    if len(set(truth) | set(reading)) > 1:
        assert found.kappa.value == pytest.approx(cohen_kappa_score(truth, reading))
    else:
        assert math.isnan(found.kappa.value)
    for name in CLASSES:
        one = found.classes[name]
        if one.said:
            assert one.precision.value == pytest.approx(
                precision_score(truth, reading, labels=[name], average="macro")
            )
        if one.true:
            assert one.recall.value == pytest.approx(
                recall_score(truth, reading, labels=[name], average="macro")
            )
            assert one.recall[1:] == wilson_interval(one.found, one.true)
    assert sum(count for row in found.confusion.values() for count in row.values()) == found.n == len(pairs)
    assert found.accuracy.value == np.mean([true == said for true, said in pairs])


def test_kappas_interval_covers_about_as_often_as_it_says() -> None:
    generator, covered = np.random.default_rng(1), 0
    truth_of = {"a": [0.8, 0.1, 0.1], "b": [0.1, 0.8, 0.1], "c": [0.1, 0.1, 0.8]}
    for trial in range(60):
        truth = list(generator.choice(CLASSES, size=120))
        reading = [str(generator.choice(CLASSES, p=truth_of[true])) for true in truth]
        low, high = compare_readings(truth, reading, CLASSES, seed=trial).kappa[1:]
        covered += low <= 0.7 <= high  # 0.8 observed, 1/3 by chance
    assert covered >= 51  # 95% of 60 is 57; fewer than 51 has a chance under 0.5%


# Krippendorff 2011, section C: four observers, twelve units, nominal data; "." is no label.
KRIPPENDORFF = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""


def test_alpha_of_krippendorffs_own_example() -> None:
    rows = [line.split() for line in KRIPPENDORFF.strip().splitlines()]
    units = [[label for label in column if label != "."] for column in zip(*rows, strict=True)]
    found = krippendorff_alpha(units)
    assert found.value == pytest.approx(0.743, abs=0.0005)
    assert found.low < found.value < found.high


@pytest.mark.parametrize(
    ("units", "value"),
    [
        ([["a", "a"], ["b", "b"]], 1.0),
        ([["a", "b"]] * 10, -0.9),
        ([["a", "a"], ["b"]], math.nan),
        ([], math.nan),
    ],
)
def test_alpha_at_its_ends_and_where_it_is_undefined(units: Sequence[Sequence[str]], value: float) -> None:
    assert krippendorff_alpha(units).value == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize(("truth", "reading"), [([], []), (["a"], ["a", "b"]), (["a"], ["z"])])
def test_readings_that_cannot_be_compared_are_an_error(truth: list[str], reading: list[str]) -> None:
    with pytest.raises(ValueError, match=r"two readings|not among"):
        compare_readings(truth, reading, CLASSES)


def test_a_perfect_judges_rate_is_left_alone_and_a_known_error_is_taken_out() -> None:
    assert corrected_rate(30, 100, (50, 50), (50, 50)).value == pytest.approx(0.3)
    # Apparent .05 with sensitivity .90 and specificity .99: 0.04/0.89 (epiR's example for epi.prev).
    assert corrected_rate(4, 80, (90, 100), (99, 100)).value == pytest.approx(0.0449, abs=0.00005)


def test_the_corrected_interval_is_wilsons_for_a_perfect_judge_and_wider_for_one_that_errs() -> None:
    low, high = corrected_rate(30, 100, (10**9, 10**9), (10**9, 10**9))[1:]
    assert (low, high) == pytest.approx(wilson_interval(30, 100), abs=0.01)
    few = corrected_rate(30, 100, (45, 50), (45, 50))
    many = corrected_rate(30, 100, (4500, 5000), (4500, 5000))
    assert few.high - few.low > many.high - many.low > high - low


def test_the_corrected_interval_covers_about_as_often_as_it_says() -> None:
    generator, covered = np.random.default_rng(2), 0
    for _ in range(400):
        found = (int(generator.binomial(60, 0.9)), 60)
        left_out = (int(generator.binomial(80, 0.85)), 80)
        apparent = 0.4 * 0.9 + 0.6 * 0.15
        rate = corrected_rate(int(generator.binomial(150, apparent)), 150, found, left_out)
        covered += rate.low <= 0.4 <= rate.high
    assert covered >= 366  # 95% of 400 is 380; fewer than 366 has a chance under 0.2%


def test_a_judge_no_better_than_a_lot_corrects_nothing() -> None:
    assert math.isnan(corrected_rate(30, 100, (25, 50), (25, 50)).value)


@pytest.mark.parametrize("counts", [(5, 4, (1, 1), (1, 1)), (1, 4, (0, 0), (1, 1)), (1, 4, (1, 1), (-1, 1))])
def test_counts_beyond_their_total_are_an_error(
    counts: tuple[int, int, tuple[int, int], tuple[int, int]],
) -> None:
    with pytest.raises(ValueError, match="within 0"):
        corrected_rate(*counts)
