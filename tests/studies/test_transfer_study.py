"""Transfer between phantoms, where what must come of it is known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import LARGE, OTHER, SMALL, rotated
from records import comparison, condition, rate

from steergauge.judging.label import Label
from steergauge.models.loading import Model
from steergauge.statistics.transfer import transfer_efficiency
from steergauge.studies.experiments.conditions import labels_of
from steergauge.studies.experiments.lending import How, Transferred
from steergauge.studies.experiments.transfer import Transfer, TransferSettings
from steergauge.studies.experiments.transfer_verdicts import conclude
from steergauge.studies.study import run_study
from steergauge.studies.study_result import Estimate, Matrix, Outcome, StudyResult
from steergauge.studies.study_settings import StudiedModel

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
        model.module.state_dict()["model.embed_tokens.weight"].double().numpy()
        for model in (phantom_model, turned)
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
    assert family.evidence == f"{LARGE} → {SMALL} 1.00 [1.00–1.00]; {SMALL} → {LARGE} 1.00 [1.00–1.00]"
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
    assert result.tables[0].rows[1]["efficiency"] == Estimate(value=None)  # nothing steers the random model


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


def lent(
    source: StudiedModel,
    target: StudiedModel,
    low: float | None,
    high: float | None = None,
    *,
    own: int = 15,
    how: How = How.DIRECT,
) -> Transferred:
    """A transfer with that interval of its efficiency, into a target whose own direction is refused so often of 15."""
    value = None if low is None or high is None else (low + high) / 2
    return Transferred(
        source=source,
        target=target,
        how=how,
        gauge=f"{target.label}, lent",
        own=condition("dim"),
        lent=condition("other"),
        own_rate=rate(own, 15),
        lent_rate=rate(0, 15),
        comparison=comparison(0, 15, 1.0),
        efficiency=Estimate(value=value, low=low, high=high),
        as_the_study=Estimate(value=None),
        random=None,
        cosine=0.0,
        held_out_r2=None,
    )


ONE, TWO, STRANGER, UNKNOWN = (StudiedModel(name=name) for name in (SMALL, LARGE, OTHER, "mine"))
YES, NO, OPEN = Outcome.SUPPORTED, Outcome.NOT_SUPPORTED, Outcome.UNDECIDED


@pytest.mark.parametrize(
    ("pairs", "family", "cross"),
    [
        ([lent(ONE, TWO, 0.8, 1.2), lent(TWO, ONE, 1.05, 1.5)], YES, OPEN),
        ([lent(ONE, TWO, 0.85, 0.95)], YES, OPEN),
        ([lent(ONE, TWO, 0.79, 1.2)], OPEN, OPEN),
        ([lent(ONE, TWO, 0.9, 1.1), lent(TWO, ONE, 0.4, 0.99)], NO, OPEN),
        ([lent(ONE, STRANGER, 0.0, 0.49)], OPEN, YES),
        ([lent(ONE, STRANGER, 0.0, 0.5)], OPEN, OPEN),
        ([lent(ONE, STRANGER, 0.0, 0.4), lent(STRANGER, ONE, 0.51, 1.0)], OPEN, NO),
        ([lent(ONE, TWO, 0.4, 0.9, how=How.MAPPED)], OPEN, OPEN),
        ([lent(ONE, TWO, 0.4, 0.9, own=8)], OPEN, OPEN),  # 53%: its own does not steer either
        ([lent(ONE, TWO, None, own=0)], OPEN, OPEN),
        ([lent(ONE, UNKNOWN, 0.0, 0.4), lent(UNKNOWN, StudiedModel(name="yours"), 0.0, 0.4)], OPEN, OPEN),
        ([lent(ONE, ONE.model_copy(update={"precision": "bfloat16"}), 0.9, 1.1)], OPEN, OPEN),
    ],
)
def test_transfers_are_concluded_on_by_the_rules(
    pairs: list[Transferred], family: Outcome, cross: Outcome
) -> None:
    assert [one.outcome for one in conclude(pairs)] == [family, cross]


def test_a_target_that_its_own_direction_does_not_steer_is_left_out_and_told() -> None:
    family, _ = conclude([lent(ONE, TWO, None, own=0), lent(TWO, ONE, 0.9, 1.1)])
    assert family.outcome is YES
    assert family.evidence == (
        f"{SMALL} → {LARGE} left out, as the target's own direction reaches 0%; {LARGE} → {SMALL} 1.00 [0.90–1.10]"
    )
