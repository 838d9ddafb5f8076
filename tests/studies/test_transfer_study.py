"""Transfer between phantoms, where what must come of it is known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import LARGE, OTHER, SMALL, rotated

from steergauge.judging.label import Label
from steergauge.models.loading import Model
from steergauge.statistics.transfer import transfer_efficiency
from steergauge.studies.experiments.conditions import labels_of
from steergauge.studies.experiments.transfer import Transfer, TransferSettings
from steergauge.studies.measurements import Rate
from steergauge.studies.study import run_study
from steergauge.studies.study_result import Estimate, Matrix, Outcome, StudyResult

DOSES = (1.4, 3.0)  # some prompts refused, and all


def settings(*models: str, **changed: Any) -> TransferSettings:
    given: dict[str, Any] = {
        "study": "transfer",
        "models": models,
        "depths": (0.5,),
        "doses": DOSES,
        "max_new_tokens": 12,
        "random_directions": 1,
    }
    return TransferSettings.model_validate(given | changed)


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("transfer") / "steergauge.db"


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return rotated(tmp_path_factory.mktemp("turned"))[1]


@pytest.fixture(scope="module")
def models(phantom_model: Model, turned: Model, tiny_model: Callable[[str], Model]) -> dict[str, Model]:
    """The phantom as two sizes of one family, and its turned copy as a model of another."""
    return {SMALL: phantom_model, LARGE: phantom_model, OTHER: turned, "narrow": tiny_model("qwen2")}


@pytest.fixture(scope="module")
def result(models: dict[str, Model], store_path: Path) -> StudyResult:
    return run_study(settings(SMALL, LARGE, OTHER, map=True), store=store_path, models=models)


def row(result: StudyResult, source: str, target: str, how: str) -> dict[str, Any]:
    found = [
        row
        for row in result.tables[0].rows
        if (row["source"], row["target"], row["how"]) == (source, target, how)
    ]
    assert len(found) == 1
    return dict(found[0])


def test_a_direction_lent_to_an_equal_model_does_exactly_what_its_own_does(result: StudyResult) -> None:
    lent = row(result, SMALL, LARGE, "direct")
    assert lent["efficiency"] == Estimate(value=1.0, low=1.0, high=1.0)
    assert lent["study"] == Estimate(value=1.0, low=1.0, high=1.0)
    assert lent["cosine"] == pytest.approx(1, abs=1e-6)
    assert lent["p"] == 1
    assert lent["own"] == lent["lent"]
    assert lent["own"].count == lent["own"].n == 15  # the half that block and dose were not chosen on


def test_in_a_turned_stream_it_does_nothing_and_through_the_map_all_that_its_own_does(
    result: StudyResult, phantom_model: Model, turned: Model
) -> None:
    direct, mapped = (row(result, SMALL, OTHER, how) for how in ("direct", "mapped"))
    first, second = (
        model.module.get_input_embeddings().weight[:].double().numpy() for model in (phantom_model, turned)
    )
    assert not np.allclose(first, second, atol=0.1)
    assert abs(direct["cosine"]) < 0.3
    assert direct["lent"].count == 0
    assert direct["efficiency"] == Estimate(value=0.0, low=0.0, high=0.0)
    assert mapped["cosine"] == pytest.approx(1, abs=1e-3)
    assert mapped["r2"] == pytest.approx(1, abs=1e-3)
    assert mapped["efficiency"] == Estimate(value=1.0, low=1.0, high=1.0)


def test_the_matrix_has_each_model_s_own_on_its_diagonal_and_one_figure_for_each_way(
    result: StudyResult,
) -> None:
    direct, mapped = result.figures
    assert isinstance(direct, Matrix)
    assert isinstance(mapped, Matrix)
    assert direct.rows == direct.columns == (SMALL, LARGE, OTHER)
    assert direct.values == ((1, 1, 0), (1, 1, 0), (0, 0, 1))
    assert direct.words[0] == ("100% own", "100%", "0%")
    assert mapped.values == ((1, 1, 1),) * 3


def test_its_conclusions_are_of_direct_transfers_within_a_family_and_across(result: StudyResult) -> None:
    family, cross = result.conclusions
    assert (family.id, family.outcome) == ("transfer-family", Outcome.SUPPORTED)
    assert family.evidence == f"{SMALL} → {LARGE} 1.00 [1.00–1.00]; {LARGE} → {SMALL} 1.00 [1.00–1.00]"
    assert (cross.id, cross.outcome) == ("transfer-cross", Outcome.SUPPORTED)
    assert cross.evidence.count("0.00 [0.00–0.00]") == 4


def test_a_study_plans_at_least_what_it_makes_and_makes_nothing_again(
    result: StudyResult, models: dict[str, Model], store_path: Path
) -> None:
    declared = settings(SMALL, LARGE, OTHER, map=True)
    planned = Transfer().plan(declared)
    assert result.made_now <= sum(part.generations for part in planned)
    for model in (SMALL, LARGE, OTHER):
        made = [name for name in result.gauges if name.startswith(model)]
        conditions = sum(len(result.gauges[name].conditions) + 2 for name in made)
        assert conditions == sum(part.conditions for part in planned if part.model.name == model)
    again = run_study(declared, store=store_path, models=models)
    assert again.made_now == 0
    assert again.tables == result.tables


def test_models_of_other_widths_are_left_out_and_told(
    phantom_model: Model, models: dict[str, Model], store_path: Path
) -> None:
    result = run_study(
        settings(SMALL, "narrow", depths=(0.5,), doses=(1.4,), max_new_tokens=6),
        store=store_path,
        models=models,
    )
    assert result.tables[0].rows == ()
    (matrix,) = result.figures
    assert isinstance(matrix, Matrix)
    assert matrix.words[0][1] == matrix.words[1][0] == "widths differ"
    assert [one.outcome for one in result.conclusions] == [Outcome.UNDECIDED] * 2
    assert result.conclusions[0].evidence == "No such pair of equal widths is at hand."


def test_a_map_carries_directions_between_widths(models: dict[str, Model], store_path: Path) -> None:
    result = run_study(
        settings(SMALL, "narrow", doses=(1.4,), max_new_tokens=6, map=True), store=store_path, models=models
    )
    assert [(row["source"], row["target"], row["how"]) for row in result.tables[0].rows] == [
        ("narrow", SMALL, "mapped"),
        (SMALL, "narrow", "mapped"),
    ]
    assert [one.outcome for one in result.conclusions] == [
        Outcome.UNDECIDED
    ] * 2  # a mapped one does not count
    assert "A map is fitted on the prompts" in result.cautions[0]


def test_the_interval_is_that_of_the_held_out_prompts(result: StudyResult) -> None:
    lent = row(result, OTHER, SMALL, "mapped")
    gauge, grid = result.gauges[f"{SMALL}, lent"], result.gauges[SMALL]
    assert grid.best is not None
    own, other = (
        labels_of(gauge, next(one.id for one in gauge.conditions if one.method == method))
        for method in ("dim", f"{OTHER}, mapped")
    )
    expected = transfer_efficiency(
        {prompt: other[prompt] is Label.REFUSAL for prompt in grid.best.reporting_prompts},
        {prompt: own[prompt] is Label.REFUSAL for prompt in grid.best.reporting_prompts},
    )
    assert lent["efficiency"] == Estimate(value=expected.ratio, low=expected.low, high=expected.high)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"models": [SMALL]}, "nobody to lend"),
        ({"unit": "separation"}, "would not have the dose"),
        ({"unit": "clamp"}, "would not have the dose"),
        ({"methods": ["iti"]}, "one method"),
    ],
)
def test_settings_that_give_no_fair_transfer_are_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        settings(SMALL, LARGE, **changed)


def test_an_unsteerable_target_s_own_rate_of_zero_gives_no_efficiency_and_no_conclusion(
    models: dict[str, Model], store_path: Path
) -> None:
    result = run_study(settings(SMALL, LARGE, doses=(0.1,)), store=store_path, models=models)
    lent = row(result, SMALL, LARGE, "direct")
    assert isinstance(lent["own"], Rate)
    assert lent["own"].count == 0
    assert lent["efficiency"] == lent["study"] == Estimate(value=None)
    assert [one.outcome for one in result.conclusions] == [Outcome.UNDECIDED] * 2
    assert "own direction reaches 0%" in result.conclusions[0].evidence


def test_one_model_under_two_precisions_is_no_pair_of_a_family(
    phantom_model: Model, store_path: Path
) -> None:
    precisions = [{"name": SMALL, "precision": precision} for precision in ("float32", "bfloat16")]
    models = {f"{SMALL}, {precision}": phantom_model for precision in ("float32", "bfloat16")}
    result = run_study(settings(models=precisions), store=store_path, models=models)
    assert len(result.tables[0].rows) == 2
    assert [one.outcome for one in result.conclusions] == [Outcome.UNDECIDED] * 2


def test_a_model_of_unknown_family_is_in_no_conclusion(phantom_model: Model, store_path: Path) -> None:
    models = dict.fromkeys((SMALL, "mine"), phantom_model)
    result = run_study(settings(SMALL, "mine"), store=store_path, models=models)
    assert len(result.tables[0].rows) == 2
    assert [one.outcome for one in result.conclusions] == [Outcome.UNDECIDED] * 2
