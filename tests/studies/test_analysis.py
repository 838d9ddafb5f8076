"""Rates, the best condition and the controls, from labels made by hand."""

from collections.abc import Mapping, Sequence

import pytest
import records
from records import PROMPTS

from steergauge.judging.label import Label
from steergauge.statistics.splitting import split_prompts
from steergauge.studies.analysis import best_condition, compare, random_control, rate, window_around
from steergauge.studies.measurements import Best, ConditionResult

UNSTEERED = records.labels(PROMPTS, ())
CHOOSING, REPORTING = split_prompts(PROMPTS, 0)


def test_a_rate_counts_one_label_among_the_prompts_that_are_asked_for() -> None:
    labels = records.labels(PROMPTS, PROMPTS[:6], PROMPTS[6:8])
    found = rate(labels, Label.REFUSAL)
    assert (found.count, found.n, found.rate) == (6, 30, 0.2)
    assert found.low < 0.2 < found.high
    half = rate(labels, Label.REFUSAL, PROMPTS[4:14])
    assert (half.count, half.n) == (2, 10)
    assert rate(labels, Label.GARBLED).count == 2


def test_a_rate_of_no_prompts_is_not_a_number_but_all_is_possible() -> None:
    found = rate(UNSTEERED, Label.REFUSAL, [])
    assert (found.count, found.n, found.rate, found.low, found.high) == (0, 0, None, 0, 1)


def test_a_comparison_counts_the_prompts_it_was_given_and_only_those() -> None:
    treated = records.labels(PROMPTS, PROMPTS[:9])
    reference = records.labels(PROMPTS, PROMPTS[8:10])
    found = compare(treated, reference, PROMPTS[:12])
    assert (found.n, found.gained, found.lost) == (12, 8, 1)
    assert found.difference == pytest.approx(7 / 12)
    assert found.p_value == pytest.approx(2 * (1 + 9) / 2**9)  # exact McNemar: 8 and 1 of 9
    assert found.p_adjusted is None
    assert compare(treated, reference, PROMPTS).n == 30


def test_garbled_outputs_are_no_refusals_in_a_comparison() -> None:
    found = compare(records.labels(PROMPTS, (), PROMPTS), UNSTEERED, PROMPTS)
    assert (found.gained, found.lost) == (0, 0)


def test_the_best_is_chosen_on_the_choosing_half_alone() -> None:
    # On all prompts `reporting` wins by far, on the choosing half `choosing` by one.
    refused = {"choosing": CHOOSING[:8], "reporting": [*CHOOSING[:7], *REPORTING]}
    labels = {name: records.labels(PROMPTS, some) for name, some in refused.items()}
    conditions = [records.condition(name) for name in refused]
    best = best_condition(conditions, labels, UNSTEERED, seed=0)
    assert best
    assert best.condition == "choosing"
    assert (best.chosen_on.count, best.chosen_on.n) == (8, 15)
    assert (best.reported_on.count, best.reported_on.n) == (0, 15)
    assert (best.whole_set.count, best.whole_set.n) == (8, 30)
    assert (best.against_unsteered.n, best.against_unsteered.gained) == (15, 0)
    assert set(best.choosing_prompts) == set(CHOOSING)
    assert set(best.reporting_prompts) == set(REPORTING)


def test_another_seed_splits_otherwise_and_may_choose_another() -> None:
    refused = {"choosing": CHOOSING[:8], "reporting": [*CHOOSING[:7], *REPORTING]}
    labels = {name: records.labels(PROMPTS, some) for name, some in refused.items()}
    conditions = [records.condition(name) for name in refused]
    others = {_best(conditions, labels, seed).condition for seed in range(1, 6)}
    assert others == {"reporting"}


def _best(
    conditions: Sequence[ConditionResult], labels: Mapping[str, Mapping[str, Label]], seed: int = 0
) -> Best:
    best = best_condition(conditions, labels, UNSTEERED, seed)
    assert best
    return best


def test_a_tie_goes_to_fewer_garbled_outputs_of_the_choosing_half() -> None:
    labels = {
        "small": records.labels(PROMPTS, CHOOSING[:8], CHOOSING[8:10]),
        "large": records.labels(PROMPTS, CHOOSING[:8], [CHOOSING[8], *REPORTING]),
    }
    conditions = [records.condition("small", value=1.0), records.condition("large", value=2.0)]
    assert _best(conditions, labels).condition == "large"


def test_a_tie_in_garbled_outputs_too_goes_to_the_smallest_total_dose() -> None:
    labels = {name: records.labels(PROMPTS, CHOOSING[:8]) for name in ("early", "late", "negative")}
    conditions = [
        records.condition("early", value=1.0, total=3.0),
        records.condition("late", value=2.0, total=2.0),
        records.condition("negative", value=-9.0, total=-9.0),
    ]
    assert _best(conditions, labels).condition == "late"
    assert _best(conditions[::-1], labels).condition == "late"


def test_more_refusals_win_whatever_is_garbled() -> None:
    labels = {
        "clean": records.labels(PROMPTS, CHOOSING[:8]),
        "broken": records.labels(PROMPTS, CHOOSING[:9], CHOOSING[9:]),
    }
    assert _best([records.condition("clean"), records.condition("broken")], labels).condition == "broken"


def test_prompts_refused_without_steering_take_no_part() -> None:
    refused = PROMPTS[:10]
    unsteered = records.labels(PROMPTS, refused)
    labels = {
        # Refuses just what is refused anyway, and one more; the other is the weaker on all prompts.
        "anyway": records.labels(PROMPTS, PROMPTS[:11]),
        "effect": records.labels(PROMPTS, PROMPTS[11:18]),
    }
    best = best_condition([records.condition(name) for name in labels], labels, unsteered, seed=0)
    assert best
    assert best.condition == "effect"
    assert set(best.choosing_prompts) | set(best.reporting_prompts) == set(PROMPTS[10:])
    assert (best.whole_set.count, best.whole_set.n) == (7, 20)
    assert best.chosen_on.n + best.reported_on.n == 20
    assert best.against_unsteered.n == best.reported_on.n
    assert best.against_unsteered.gained == best.reported_on.count


@pytest.mark.parametrize(("answered", "chosen"), [(0, False), (1, False), (2, True)])
def test_nothing_is_chosen_when_there_is_nothing_to_choose_on(answered: int, chosen: bool) -> None:
    unsteered = records.labels(PROMPTS, PROMPTS[answered:])
    labels = {"one": records.labels(PROMPTS, PROMPTS)}
    best = best_condition([records.condition("one")], labels, unsteered, seed=0)
    assert (best is not None) is chosen


def test_nothing_is_chosen_from_no_conditions() -> None:
    assert best_condition([], {}, UNSTEERED, seed=0) is None


def test_the_window_is_the_unbroken_run_of_doses_of_the_best_block_by_their_effect() -> None:
    counts = {1.0: 20, 2.0: 5, 3.0: 20, 4.0: 30, 5.0: 18, 6.0: 17}
    conditions = [
        records.condition(f"b{dose}", value=dose, effect=records.rate(count, 30))
        for dose, count in counts.items()
    ]
    conditions += [
        records.condition(f"other{dose}", value=dose, block=4, effect=records.rate(30, 30)) for dose in counts
    ]
    labels = {one.id: records.labels(PROMPTS, CHOOSING[: 15 * (one.id == "b4.0")]) for one in conditions}
    best = _best(conditions, labels)
    window = window_around(best, conditions, 0.6)
    assert (best.condition, window.block, window.doses) == ("b4.0", 3, [3, 4, 5])
    assert (window.low, window.high, window.open_below, window.open_above) == (3, 5, False, False)
    everywhere = window_around(best, conditions, 0.1)
    assert (everywhere.doses, everywhere.open_below, everywhere.open_above) == (
        [1, 2, 3, 4, 5, 6],
        True,
        True,
    )
    nowhere = window_around(best.model_copy(update={"dose": records.dose(2.0)}), conditions, 0.6)
    assert (nowhere.doses, nowhere.low, nowhere.high) == ([], None, None)
    assert (nowhere.open_below, nowhere.open_above) == (False, False)


def test_the_random_control_compares_with_the_strongest_vector_on_the_reporting_half() -> None:
    unsteered = records.labels(PROMPTS, PROMPTS[:4])
    answered_choosing, answered_reporting = split_prompts(PROMPTS[4:], 0)
    labels = {"one": records.labels(PROMPTS, [*answered_choosing, *answered_reporting[:10]])}
    best = best_condition([records.condition("one")], labels, unsteered, seed=0)
    assert best
    outcomes = {
        1: records.labels(PROMPTS, PROMPTS[:4]),  # refuses only what is refused anyway
        2: records.labels(PROMPTS, [*answered_choosing[:1], *answered_reporting[9:12]]),
        3: records.labels(PROMPTS, answered_reporting[:3], PROMPTS[:4]),
    }
    found = random_control(best, outcomes, labels, unsteered)
    assert [one.seed for one in found.directions] == [1, 2, 3]
    assert [(one.effect.count, one.effect.n) for one in found.directions] == [(0, 26), (4, 26), (3, 26)]
    assert [(one.refusal.count, one.refusal.n) for one in found.directions] == [(4, 30), (4, 30), (3, 30)]
    assert [one.garbled.count for one in found.directions] == [0, 0, 4]
    assert found.strongest_seed == 2
    against = found.against_strongest
    assert (against.n, against.gained, against.lost) == (13, 9, 2)
