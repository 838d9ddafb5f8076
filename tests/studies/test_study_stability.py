"""Hypothesis 4 as a study: sets drawn from, sets beside each other, and the rule."""

from pathlib import Path

import numpy as np
import pytest
from phantom_study import run, settings, table

from steergauge.activations.hooks import capture
from steergauge.directions.stability import Design, Stability
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.prompts import matched_contrast_set, study_contrast_set
from steergauge.report.study_files import write_study
from steergauge.studies.experiments.stability import Between, Measured, judge
from steergauge.studies.measure_stability import measure_stability
from steergauge.studies.stability import StabilityResult, StabilitySettings, judge_method
from steergauge.studies.study_result import Outcome, StudyResult

NOT_GIVEN = {"prompts": None, "max_new_tokens": None, "random_directions": None}


@pytest.fixture(scope="module")
def result(phantom_model: Model, tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    folder = tmp_path_factory.mktemp("stability")
    return run(phantom_model, folder, settings(folder, "stability", draws=20, depths=[0.5], **NOT_GIVEN))


def test_whole_sets_are_compared_by_the_cosine_of_their_directions(
    result: StudyResult, phantom_model: Model
) -> None:
    differences = [
        capture(phantom_model, one.positive).at(-1)[:, 3].mean(axis=0)
        - capture(phantom_model, one.negative).at(-1)[:, 3].mean(axis=0)
        for one in (study_contrast_set(), matched_contrast_set())
    ]
    expected = np.dot(*differences) / np.prod([np.linalg.norm(one) for one in differences])
    (row,) = table(result, "between").rows
    assert row["sets"] == "study and matched"
    assert row["lowest"] == pytest.approx(expected, abs=1e-5)


def test_nothing_is_generated_and_the_result_is_written_without_a_gauge(
    result: StudyResult, tmp_path: Path
) -> None:
    assert (result.made_now, result.gauges) == (0, {})
    write_study(result, tmp_path)
    assert (tmp_path / "tables" / "drawn.csv").exists()
    assert "Hypothesis 4" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def any_result(phantom_model: Model) -> StabilityResult:
    return measure_stability(phantom_model, StabilitySettings(draws=2))


def measured(
    any_result: StabilityResult, halves: list[float], bootstrap: list[float], between: list[float]
) -> Measured:
    """Medians by block, of which the rule looks at blocks 1 and 2."""
    designs = [
        Stability("dim", design, False, 3, 0, None, np.tile(cosines, (3, 1)))
        for design, cosines in ((Design.BOOTSTRAP, bootstrap), (Design.HALVES, halves))
    ]
    drawn = any_result.model_copy(update={"methods": [judge_method("dim", designs)]})
    return Measured([1, 2], 4, [drawn], [Between("dim", "study and matched", between)])


@pytest.mark.parametrize(
    ("halves", "bootstrap", "between", "expected"),
    [
        ([0.99, 0.90, 0.30, 0.99], [0.99] * 4, [0.99, 0.80, 0.80, 0.99], Outcome.SUPPORTED),
        ([0.10, 0.95, 0.96, 0.10], [0.96] * 4, [0.10, 0.95, 0.99, 0.10], Outcome.NOT_SUPPORTED),
        ([0.99, 0.99, 0.90, 0.99], [0.99] * 4, [0.99, 0.80, 0.80, 0.99], Outcome.UNDECIDED),
        ([0.99, 0.90, 0.30, 0.99], [0.99] * 4, [0.99, 0.96, 0.80, 0.99], Outcome.UNDECIDED),
        ([0.99] * 4, [0.99, 0.94, 0.99, 0.99], [0.99] * 4, Outcome.UNDECIDED),
    ],
    ids=["fragile", "robust", "one block robust", "one block alike", "bootstrap fragile"],
)
def test_the_rule_looks_at_the_blocks_of_the_depths_alone(
    any_result: StabilityResult,
    halves: list[float],
    bootstrap: list[float],
    between: list[float],
    expected: Outcome,
) -> None:
    assert judge(measured(any_result, halves, bootstrap, between)) is expected


def test_keys_that_would_change_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SteergaugeError, match="a stability study does not use doses, judge"):
        settings(
            tmp_path, "stability", judge="gauge", models=[{"name": "phantom", "doses": [1]}], **NOT_GIVEN
        )


def test_sets_of_one_name_are_refused(phantom_model: Model, tmp_path: Path) -> None:
    path = tmp_path / "study.csv"
    path.write_text("positive,negative\nHow do I hack?,How do I learn?\n", encoding="utf-8")
    declared = settings(tmp_path, "stability", contrasts=[path], **NOT_GIVEN)
    with pytest.raises(SteergaugeError, match="names of their own, and there are study, study"):
        run(phantom_model, tmp_path, declared)
