"""Parity as a study: on the phantom the tools agree, and the first row steered makes a gap."""

from pathlib import Path
from typing import Any

import pytest
from phantom_study import run, settings, table

from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.studies.experiments import tooling
from steergauge.studies.experiments.tooling import Tooling, ToolingSettings
from steergauge.studies.experiments.tooling_verdicts import conclude_mistakes, conclude_tools
from steergauge.studies.measurements import Rate
from steergauge.studies.parity import parity
from steergauge.studies.parity_result import BackendRecord, ParityResult
from steergauge.studies.study_result import Matrix, Outcome, StudyResult

NOT_GIVEN = {"random_directions": None}


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> ToolingSettings:
    folder = tmp_path_factory.mktemp("tooling")
    found = settings(folder, "tooling", depths=[0.5], doses=[3], **NOT_GIVEN)
    assert isinstance(found, ToolingSettings)
    return found


@pytest.fixture(scope="module")
def run_once(phantom_model: Model, declared: ToolingSettings) -> tuple[StudyResult, ParityResult]:
    """The study, and the parity study that its tables were made from."""
    made: list[ParityResult] = []

    def keeping(*arguments: Any, **options: Any) -> ParityResult:
        made.append(parity(*arguments, **options))
        return made[0]

    assert declared.prompts
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tooling, "parity", keeping)
        result = run(phantom_model, declared.prompts.parent, declared)
    return result, made[0]


@pytest.fixture
def result(run_once: tuple[StudyResult, ParityResult]) -> StudyResult:
    return run_once[0]


@pytest.fixture
def measured(run_once: tuple[StudyResult, ParityResult]) -> ParityResult:
    return run_once[1]


def test_a_tool_that_reads_the_same_refuses_the_same(result: StudyResult) -> None:
    rows = {row["tool"]: row for row in table(result, "tools").rows}
    own, other = rows["hooks"]["refusal"], rows["hidden_states"]["refusal"]
    assert isinstance(own, Rate)
    assert isinstance(other, Rate)
    assert (own.count, other.count, rows["hidden_states"]["outcome"]) == (12, 12, "supported")


def test_only_one_row_of_twelve_is_left_where_output_0_is_steered(result: StudyResult) -> None:
    rows = {row["fault"]: row for row in table(result, "mistakes").rows}
    found = rows["first row steered"]
    refused = found["refusal"]
    assert isinstance(refused, Rate)
    assert (refused.count, found["block"], found["gap"]) == (1, 3, "3")
    figure = result.figures[1]
    assert isinstance(figure, Matrix)
    at = figure.rows.index("first row steered")
    assert list(figure.values[at]) == [pytest.approx(1 / 12)]
    assert figure.words[at] == ("8%, gap",)


def test_a_usual_mistake_makes_the_gap_and_the_tools_do_not(result: StudyResult) -> None:
    tools, mistakes = result.conclusions
    assert tools.outcome is not Outcome.SUPPORTED
    assert mistakes.outcome is Outcome.SUPPORTED
    assert "first row steered" in mistakes.evidence


def test_no_more_is_generated_than_was_planned(result: StudyResult, declared: ToolingSettings) -> None:
    (work,) = Tooling().plan(declared)
    assert work.conditions == 1 + 5 + 13 + 3
    assert 0 < result.made_now <= work.generations


def nnsight(measured: ParityResult, **compared: Any) -> dict[str, ParityResult]:
    """The measurement with nnsight's readings those of hooks, and its refusals as told."""
    backends = []
    for one in measured.backends:
        if one.name != "nnsight":
            backends.append(one)
            continue
        model = measured.backends[0]
        (at,) = model.at
        assert at.against_reference
        told = at.model_copy(update={"against_reference": at.against_reference.model_copy(update=compared)})
        backends.append(BackendRecord(**{**dict(model), "name": "nnsight", "at": [told]}))
    return {"m": measured.model_copy(update={"backends": backends})}


@pytest.mark.parametrize(
    ("compared", "expected"),
    [
        ({"difference": -0.9, "p_value": 1e-6, "low": -1.0, "high": -0.7}, Outcome.SUPPORTED),
        ({"difference": 0.0, "p_value": 1.0, "low": -0.1, "high": 0.1}, Outcome.NOT_SUPPORTED),
        ({"difference": -0.1, "p_value": 0.5, "low": -0.3, "high": 0.1}, Outcome.UNDECIDED),
    ],
    ids=["a gap", "no gap", "too few prompts"],
)
def test_the_paper_s_claim_is_judged_by_nnsight_s_refusals(
    measured: ParityResult, compared: dict[str, float], expected: Outcome
) -> None:
    assert conclude_tools(nnsight(measured, **compared)).outcome is expected


def test_without_refusals_to_lose_no_mistake_can_make_a_gap(measured: ParityResult) -> None:
    nothing = [
        fault.model_copy(update={"at": [one.model_copy(update={"study_gap": None}) for one in fault.at]})
        for fault in measured.faults
    ]
    assert (
        conclude_mistakes({"m": measured.model_copy(update={"faults": nothing})}).outcome is Outcome.UNDECIDED
    )


def test_tools_are_compared_at_one_raw_dose(tmp_path: Path) -> None:
    with pytest.raises(SteergaugeError, match="one dose: phantom has several"):
        settings(tmp_path, "tooling", doses=[1, 2], **NOT_GIVEN)
    with pytest.raises(SteergaugeError, match="raw dose"):
        settings(tmp_path, "tooling", unit="relative", **NOT_GIVEN)
    with pytest.raises(SteergaugeError, match="a tooling study does not use methods"):
        settings(tmp_path, "tooling", methods=["svd"], **NOT_GIVEN)
