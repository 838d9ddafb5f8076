import numpy as np
import pytest

from steergauge.directions.edits import ablation
from steergauge.directions.fit import ClassReadings, Fit
from steergauge.directions.passes import SharedPasses
from steergauge.directions.selection import Candidate, Fall, NothingLeftError, Selection, select, tabulate
from steergauge.directions.selections import SELECTIONS
from steergauge.directions.split import ClassSplit
from steergauge.directions.trials import Place, Trial, judge_trials
from steergauge.models.loading import Model
from steergauge.prompts import study_contrast_set

LAYERS = 10
GOOD = {"comply": 0.9, "refuse": 0.9, "kl": 0.01}


def fall(
    layer: int, changed: dict[str, float], own: Fall | None = None, *, tried: bool = True
) -> Fall | None:
    place = Place(-1, layer)
    trial = Trial(ablation(np.ones(2)), ablation(np.ones(2))) if tried else None
    (candidate,) = judge_trials({place: trial}, {place: GOOD | changed}, LAYERS, lambda _place, _scores: own)
    assert (candidate.position, candidate.layer, candidate.block) == (-1, layer, layer - 1)
    return candidate.fell


@pytest.mark.parametrize(
    ("layer", "changed", "expected"),
    [
        (7, {}, None),
        (8, {}, Fall.LATE),  # int(0.8 · 10)
        (7, {"kl": 0.1}, None),
        (7, {"kl": 0.1001}, Fall.KL),
        (7, {"comply": np.nan}, Fall.NOT_FINITE),
        (7, {"refuse": np.inf}, Fall.NOT_FINITE),
        (8, {"kl": np.nan}, Fall.NOT_FINITE),  # the first rule that applies is told
        (8, {"kl": 1.0}, Fall.LATE),
        (1, {}, None),
        (0, {}, Fall.EMBEDDINGS),
        (0, {"kl": 1.0}, Fall.KL),
    ],
)
def test_a_candidate_falls_by_the_first_rule_that_applies(
    layer: int, changed: dict[str, float], expected: Fall | None
) -> None:
    assert fall(layer, changed) is expected


def test_a_method_s_own_rule_comes_after_those_of_both_and_no_difference_before_all() -> None:
    assert fall(7, {}, Fall.PEAK) is Fall.PEAK
    assert fall(7, {"kl": 1.0}, Fall.PEAK) is Fall.KL
    assert fall(9, dict.fromkeys(GOOD, np.nan), Fall.PEAK, tried=False) is Fall.SAME


def candidate(position: int, layer: int, value: float, fell: Fall | None = None) -> Candidate:
    return Candidate(position, layer, layer - 1, {"value": value, "kl": 0.5 - layer / 10}, fell)


def chosen(model: Model, *candidates: Candidate) -> Selection:
    rng = np.random.default_rng(0)
    classes = (ClassReadings(rng.normal(size=(2, 4, 8)), np.zeros((1, 3, 8), np.float32)) for _ in range(2))
    return select(
        method="example",
        intervention="affine",
        candidates=candidates,
        value=lambda one: one.scores["value"],
        fit=Fit((-2, -1), *classes),
        low_layers=(),
        prompts=ClassSplit((), (), (), ()),
        passes=SharedPasses(model, ()),
    )


def test_the_largest_value_of_those_that_stand_is_chosen_and_of_equals_the_first(
    phantom_model: Model,
) -> None:
    selection = chosen(
        phantom_model,
        candidate(-2, 1, 0.5),
        candidate(-2, 2, 0.7),
        candidate(-1, 1, 0.7),
        candidate(-1, 2, 0.9, Fall.KL),
    )
    assert (selection.chosen.position, selection.chosen.layer, selection.block) == (-2, 2, 1)
    assert selection.direction.blocks == 3
    table = selection.to_pandas()
    assert list(table.columns) == ["method", "position", "layer", "block", "value", "kl", "fell", "chosen"]
    assert list(table["chosen"]) == [False, True, False, False]
    assert list(table["fell"].isna()) == [True, True, True, False]


def test_nothing_left_is_an_error_that_counts_the_reasons_and_keeps_the_candidates(
    phantom_model: Model,
) -> None:
    fallen = candidate(-1, 1, 0.5, Fall.KL), candidate(-1, 2, 0.5, Fall.KL), candidate(-1, 3, 0.5, Fall.LATE)
    with pytest.raises(NothingLeftError) as error:
        chosen(phantom_model, *fallen)
    message = str(error.value)
    assert (
        "example: none of the 3 candidates is left (2 because ablating it changes harmless answers" in message
    )
    assert "; 1 because it lies in the last fifth of the layers; the lowest KL of those is 0.3)" in message
    assert "\n" not in message
    assert error.value.candidates == fallen
    assert list(tabulate(fallen)["layer"]) == [1, 2, 3]


def test_a_difference_within_the_rounding_of_float32_is_none() -> None:
    mean = np.full((1, 2, 4), 1000.0)
    other = mean + np.array([[[1e-6] * 4, [1.0, 0, 0, 0]]])
    nothing = np.zeros((1, 1, 4), np.float32)
    fit = Fit((-1,), ClassReadings(other, nothing), ClassReadings(mean, nothing))
    assert fit.difference(-1, 0) is None
    np.testing.assert_array_equal(fit.difference(-1, 1), [1.0, 0, 0, 0])
    unknown = Fit((-1,), ClassReadings(other * np.nan, nothing), ClassReadings(mean, nothing))
    assert unknown.difference(-1, 0) is not None  # its scores will say that they are not finite


@pytest.mark.parametrize("name", SELECTIONS)
def test_every_selection_of_the_table_names_itself_and_repeats_itself(
    name: str, phantom_model: Model
) -> None:
    one, same = (SELECTIONS[name](phantom_model, study_contrast_set(), seed=2) for _ in range(2))
    assert one.method == one.direction.method == name
    assert one.chosen == same.chosen
    assert one.direction.digest == same.direction.digest
