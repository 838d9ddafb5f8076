from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from steergauge.errors import SteergaugeError
from steergauge.statistics.comparisons import (
    PairedComparison,
    PairedTable,
    adjust_benjamini_hochberg,
    adjust_holm,
    compare_paired,
    compare_paired_counts,
    distinct_prompts,
    possible_pairings,
)

Outcomes = list[tuple[bool, bool]]

PAIRED_OUTCOMES = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)
P_VALUES = st.lists(st.floats(min_value=0, max_value=1), max_size=20)


def compare(outcomes: Outcomes) -> PairedComparison:
    """Compares (treated, reference) outcomes."""
    treated = {f"prompt {number}": here for number, (here, _) in enumerate(outcomes)}
    reference = {f"prompt {number}": there for number, (_, there) in enumerate(outcomes)}
    return compare_paired(treated, reference)


def table(both: int, gained: int, lost: int, neither: int) -> Outcomes:
    return (
        [(True, True)] * both + [(True, False)] * gained + [(False, True)] * lost + [(False, False)] * neither
    )


# Newcombe 1998, Statistics in Medicine 17:2635, Table III, method 10: the four counts and the 95% limits.
NEWCOMBE_TABLE = [
    ((36, 12, 2, 0), (0.0569, 0.3404)),  # a negative correlation
    ((20, 12, 2, 16), (0.0562, 0.3292)),  # a positive one, reduced
    ((18, 12, 2, 18), (0.0562, 0.3290)),
    ((36, 14, 0, 0), (0.1528, 0.4167)),
    ((35, 14, 0, 1), (0.1461, 0.4175)),  # a positive one, reduced to 0
    ((18, 14, 0, 18), (0.1441, 0.3963)),
    ((2, 97, 1, 0), (0.8721, 0.9854)),
    ((1, 97, 1, 1), (0.8737, 0.9850)),  # the lower limit, .87367, is printed as .8736
    ((0, 29, 1, 0), (0.6666, 0.9882)),
    ((2, 98, 0, 0), (0.9178, 0.9945)),
    ((1, 98, 0, 1), (0.9171, 0.9916)),
    ((0, 30, 0, 0), (0.8395, 1.0)),
    ((54, 0, 0, 0), (-0.0664, 0.0664)),
    ((53, 0, 0, 1), (-0.0729, 0.0729)),
    ((30, 0, 0, 24), (-0.0358, 0.0358)),
    ((29, 0, 0, 25), (-0.0354, 0.0354)),
    ((28, 0, 0, 26), (-0.0352, 0.0352)),
    ((27, 0, 0, 27), (-0.0351, 0.0351)),
]
OTHER_WORKED_EXAMPLES = [
    # Fagerland, Lydersen and Laake 2014, Statistics in Medicine 33:2850: the data of Bentur 2009, Cavo 2012.
    ((1, 1, 7, 12), (-0.507, -0.026)),
    ((59, 6, 16, 80), (-0.119, -0.005)),
    # Tang and others 2010.
    ((8, 3, 1, 2), (-0.1574, 0.4136)),
]


@pytest.mark.parametrize(("counts", "published"), NEWCOMBE_TABLE + OTHER_WORKED_EXAMPLES)
def test_the_interval_is_newcombes_published_one(
    counts: tuple[int, int, int, int], published: tuple[float, float]
) -> None:
    result = compare(table(*counts))
    decimals = max(len(str(limit).partition(".")[2]) for limit in published)
    assert (round(result.low, decimals), round(result.high, decimals)) == published


@pytest.mark.parametrize(
    ("gained", "lost", "p_value"),
    [
        (7, 1, 2 * (1 + 8) / 2**8),
        (6, 0, 2 / 2**6),
        (5, 0, 2 / 2**5),
        (3, 10, 2 * (1 + 13 + 78 + 286) / 2**13),
        (1, 0, 1.0),
        (4, 4, 1.0),
        (0, 0, 1.0),
    ],
)
def test_mcnemars_p_value_is_the_binomial_computed_by_hand(gained: int, lost: int, p_value: float) -> None:
    for agreeing in (1, 20):
        result = compare(table(agreeing, gained, lost, agreeing))
        assert (result.gained, result.lost) == (gained, lost)
        assert result.difference == pytest.approx((gained - lost) / (2 * agreeing + gained + lost))
        assert result.p_value == pytest.approx(p_value, rel=1e-12)


@given(PAIRED_OUTCOMES)
def test_the_p_value_is_the_two_sided_binomial_tail(outcomes: Outcomes) -> None:
    result = compare(outcomes)
    changed = result.gained + result.lost
    tail = sum(comb(changed, count) for count in range(min(result.gained, result.lost) + 1)) / 2**changed
    assert result.p_value == pytest.approx(min(1.0, 2 * tail), rel=1e-9)


def test_a_prompt_is_gained_when_it_succeeds_only_in_the_treated_condition() -> None:
    result = compare_paired(
        {"a": True, "b": True, "c": False, "d": False, "e": True},
        {"e": True, "d": False, "c": True, "b": False, "a": False},
    )
    assert (result.gained, result.lost) == (2, 1)
    assert result.difference == pytest.approx(0.2)


@given(PAIRED_OUTCOMES)
def test_swapping_the_conditions_mirrors_the_comparison(outcomes: Outcomes) -> None:
    result = compare(outcomes)
    swapped = compare([(there, here) for here, there in outcomes])
    assert (swapped.gained, swapped.lost) == (result.lost, result.gained)
    assert swapped.difference == -result.difference
    assert (swapped.low, swapped.high) == pytest.approx((-result.high, -result.low), abs=1e-12)
    assert swapped.p_value == result.p_value


@given(PAIRED_OUTCOMES)
def test_swapping_success_and_failure_mirrors_the_comparison(outcomes: Outcomes) -> None:
    result = compare(outcomes)
    failures = compare([(not here, not there) for here, there in outcomes])
    assert (failures.low, failures.high) == pytest.approx((-result.high, -result.low), abs=1e-12)


@given(PAIRED_OUTCOMES)
def test_the_interval_holds_the_difference_has_a_width_and_stays_within_one(outcomes: Outcomes) -> None:
    result = compare(outcomes)
    rates = [sum(column) / len(outcomes) for column in zip(*outcomes, strict=True)]
    assert result.difference == pytest.approx(rates[0] - rates[1], abs=1e-12)
    assert -1 <= result.low <= result.difference <= result.high <= 1
    assert result.low < result.high


def test_conditions_on_other_prompts_are_refused() -> None:
    with pytest.raises(SteergaugeError, match=r"same prompts.* 1 prompt.*'c', in the reference"):
        compare_paired({"a": True, "b": True}, {"a": True, "b": False, "c": True})
    with pytest.raises(SteergaugeError, match=r"same prompts.* 2 prompt.*'a', in the treated condition"):
        compare_paired({"a": True}, {"b": True})
    with pytest.raises(SteergaugeError, match="at least one prompt"):
        compare_paired({}, {})


def test_distinct_prompts_are_counted_once_each_in_their_order() -> None:
    observations = [("b", True), ("a", False), ("A", True), ("a ", True)]
    assert list(distinct_prompts(iter(observations)).items()) == observations
    assert distinct_prompts([]) == {}


@pytest.mark.parametrize("second", [True, False])
def test_a_repeated_prompt_is_refused_with_the_reason_whatever_its_outcomes(second: bool) -> None:
    with pytest.raises(SteergaugeError, match=r"'Tell me a joke'.*greedy decoding is one observation.*once"):
        distinct_prompts(
            [("Tell me a joke", True), ("Explain photosynthesis", True), ("Tell me a joke", second)]
        )


def test_the_studys_fifty_observations_of_ten_prompts_are_refused() -> None:
    with pytest.raises(SteergaugeError):
        distinct_prompts([(f"prompt {number % 10}", True) for number in range(50)])


def test_holms_values_are_those_computed_by_hand_in_the_order_given() -> None:
    # 4 × .005; 3 × .01; 2 × .03; 1 × .04, raised to the one before it.
    assert adjust_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjust_holm([0.7, 0.6]) == [1.0, 1.0]
    assert adjust_holm([0.03]) == [0.03]
    assert adjust_holm([]) == []


def test_holms_values_are_those_of_statsmodels() -> None:
    for seed in range(20):
        drawn = np.random.default_rng(seed).beta(0.4, 2, size=seed + 1).tolist()
        theirs = multipletests(drawn, method="holm")[1]
        assert adjust_holm(drawn) == pytest.approx(theirs.tolist(), abs=1e-12)


@settings(max_examples=25)  # statsmodels collects garbage at each call
@given(P_VALUES)
def test_holms_values_keep_the_order_and_lie_between_the_raw_and_bonferronis(p_values: list[float]) -> None:
    adjusted = adjust_holm(p_values)
    assert len(adjusted) == len(p_values)
    for raw, corrected in zip(p_values, adjusted, strict=True):
        assert raw <= corrected <= min(1.0, len(p_values) * raw)
    by_raw = [corrected for _, corrected in sorted(zip(p_values, adjusted, strict=True))]
    assert by_raw == sorted(by_raw)


@pytest.mark.parametrize("p_value", [-0.01, 1.01, float("nan")])
def test_what_is_no_p_value_is_refused(p_value: float) -> None:
    with pytest.raises(ValueError, match="a p value is within"):
        adjust_holm([0.5, p_value])


def test_the_false_discovery_rate_finds_benjamini_and_hochbergs_four() -> None:
    """Their example of 1995, table of section 4.1: at .05 four hypotheses; Bonferroni and Holm find three."""
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240]
    p_values += [0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert sum(adjusted <= 0.05 for adjusted in adjust_benjamini_hochberg(p_values)) == 4
    assert sum(adjusted <= 0.05 for adjusted in adjust_holm(p_values)) == 3
    assert adjust_benjamini_hochberg([]) == []
    with pytest.raises(ValueError, match="a p value is within"):
        adjust_benjamini_hochberg([1.5])


@settings(max_examples=10)
@given(P_VALUES)
def test_false_discovery_rates_lie_between_the_raw_p_values_and_holms(p_values: list[float]) -> None:
    found = adjust_benjamini_hochberg(p_values)
    for raw, adjusted, holm in zip(p_values, found, adjust_holm(p_values), strict=True):
        assert raw <= adjusted + 1e-12
        assert adjusted <= holm + 1e-12


@settings(max_examples=25)
@given(PAIRED_OUTCOMES)
def test_the_pairing_that_was_is_among_those_possible(outcomes: Outcomes) -> None:
    treated, reference = (sum(side) for side in zip(*outcomes, strict=True))
    pairings = possible_pairings(treated, reference, len(outcomes))
    observed = compare(outcomes)
    assert observed in [compare_paired_counts(pairing) for pairing in pairings]
    assert all(sum(pairing) == len(outcomes) and min(pairing) >= 0 for pairing in pairings)
    assert len(set(pairings)) == len(pairings)
    changes = [pairing.gained + pairing.lost for pairing in pairings]
    assert changes == sorted(changes)


def test_a_full_house_has_one_pairing() -> None:
    assert possible_pairings(30, 23, 30) == [PairedTable(23, 7, 0, 0)]
    assert compare_paired_counts(PairedTable(23, 7, 0, 0)).p_value == pytest.approx(2 / 2**7)


def test_what_cannot_be_paired_is_refused() -> None:
    with pytest.raises(ValueError, match="must be within"):
        possible_pairings(31, 3, 30)
    for table_ in (PairedTable(0, 0, 0, 0), PairedTable(1, -1, 0, 0)):
        with pytest.raises(ValueError, match="paired counts"):
            compare_paired_counts(table_)
