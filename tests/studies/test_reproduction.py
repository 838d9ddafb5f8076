"""From what studies conclude to an answer for each of the paper's claims."""

from collections.abc import Mapping
from typing import Any

import pytest

from made_studies import study_result
from steergauge.errors import InstrumentError, SteergaugeError
from steergauge.store import Store
from steergauge.studies import reproduction as module
from steergauge.studies.claims import answer, claims
from steergauge.studies.experiments.table import EXPERIMENTS
from steergauge.studies.reproduction import Replication, answered, planned, reproduce
from steergauge.studies.study_result import Conclusion, Outcome
from steergauge.studies.study_settings import StudySettings


@pytest.mark.parametrize(
    ("outcome", "replication"),
    [
        (Outcome.SUPPORTED, Replication.REPLICATED),
        (Outcome.NOT_SUPPORTED, Replication.NOT_REPLICATED),
        (Outcome.UNDECIDED, Replication.UNTESTABLE),
    ],
)
def test_a_study_s_outcome_is_the_answer_to_its_claim(outcome: Outcome, replication: Replication) -> None:
    own = Conclusion(claim="Its own.", outcome=Outcome.SUPPORTED, rule="None.", evidence="None.")
    studies = {"quantization": study_result("quantization", own, answer("int8", outcome, "the numbers"))}
    found = answered(studies, {})
    (one,) = (one for one in found.answers if one.claim.id == "int8")
    assert (one.replication, one.measured) == (replication, "the numbers")
    assert [one.claim.id for one in found.answers] == list(claims())
    assert sum(found.count(each) for each in Replication) == len(claims())


def test_a_claim_without_an_answer_says_whether_its_study_ran() -> None:
    found = answered({"transfer": study_result("transfer")}, {"quantization": "no such precision"})
    measured = {one.claim.id: one.measured for one in found.answers}
    assert measured["int8"] == "Not measured: the study quantization could not run: no such precision"
    assert measured["transfer-family"] == "Not measured: the study transfer had nothing to test it with"
    assert measured["greedy"] == "Not measured: the study sampling was not run"
    assert {one.replication for one in found.answers} == {Replication.UNTESTABLE}


def test_its_json_leaves_out_the_studies_which_are_files_of_their_own() -> None:
    found = answered({"transfer": study_result("transfer")}, {})
    assert "studies" not in found.to_json()
    table = found.to_pandas()
    assert list(table.id) == list(claims())
    assert set(table.replication) == {"untestable here"}


@pytest.fixture
def three_studies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies of which one cannot be read for one model, one cannot run, and one has a result."""
    kept = {name: EXPERIMENTS[name] for name in ("transfer", "rank", "sampling")}
    monkeypatch.setattr(module, "EXPERIMENTS", kept)

    def run(settings: StudySettings, **_given: Any) -> Any:
        if settings.study == "rank":
            raise SteergaugeError("no pairs")
        return study_result(settings.study, answer("greedy", Outcome.SUPPORTED, "equal"))

    monkeypatch.setattr(module, "run_study", run)


@pytest.mark.usefixtures("three_studies")
def test_studies_that_cannot_run_are_told_and_the_others_run(tmp_path: Any) -> None:
    found = reproduce({"models": ("phantom",)}, store=tmp_path / "steergauge.db")
    assert list(found.studies) == ["sampling"]
    assert list(found.not_run) == ["transfer", "rank"]
    assert "nobody to lend" in found.not_run["transfer"]
    assert found.not_run["rank"] == "no pairs"
    assert found.count(Replication.REPLICATED) == 1
    work, not_run = planned({"models": ("phantom",)})
    assert {part.model.name for part in work} == {"phantom"}
    assert list(not_run) == ["transfer"]


@pytest.mark.usefixtures("three_studies")
def test_without_a_study_that_can_run_the_first_reason_is_given(tmp_path: Any) -> None:
    changes: Mapping[str, object] = {"models": ("phantom",), "max_new_tokens": 0}
    with pytest.raises(SteergaugeError, match="no study can run on these models; transfer: max_new_tokens"):
        reproduce(changes, store=tmp_path / "steergauge.db")
    with pytest.raises(SteergaugeError, match="no study can run"):
        planned(changes)


@pytest.mark.usefixtures("three_studies")
def test_a_failed_check_of_the_instrument_stops_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    def run(_settings: StudySettings, **_given: Any) -> Any:
        raise InstrumentError("the stream did not move")

    monkeypatch.setattr(module, "run_study", run)
    with Store(tmp_path / "steergauge.db") as store, pytest.raises(InstrumentError, match="did not move"):
        reproduce({"models": ("phantom",)}, store=store)


def test_a_change_is_for_the_studies_that_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {name: EXPERIMENTS[name] for name in ("depth", "stability")}
    monkeypatch.setattr(module, "EXPERIMENTS", kept)
    work, not_run = planned({"models": ("smollm2-135m",), "max_new_tokens": 8})
    assert not_run == {}
    assert {part.max_new_tokens for part in work if part.generations} == {8}
