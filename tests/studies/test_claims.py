"""The paper's claims, and that what studies answer are these."""

import ast
from pathlib import Path

import pytest

from steergauge.studies.claims import answer, claims, every
from steergauge.studies.experiments import quantized_verdicts, sampling, transfer_verdicts
from steergauge.studies.experiments.table import EXPERIMENTS
from steergauge.studies.study_result import Conclusion, Outcome

EXPERIMENT_FILES = sorted(Path(sampling.__file__).parent.glob("*.py"))
YES, NO, OPEN = Outcome.SUPPORTED, Outcome.NOT_SUPPORTED, Outcome.UNDECIDED


def answered_in(file: Path) -> set[str]:
    """The ids that a file's calls of `answer` name."""
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    return {
        str(call.args[0].value)
        for call in calls
        if isinstance(call.func, ast.Name)
        and call.func.id == "answer"
        and isinstance(call.args[0], ast.Constant)
    }


def of_study(name: str) -> list[str]:
    return [claim.id for claim in claims().values() if claim.study == name]


@pytest.mark.parametrize(
    ("study", "conclusions"),
    [
        ("transfer", transfer_verdicts.conclude([])),
        ("quantization", quantized_verdicts.conclude([])),
        ("sampling", (sampling.conclude([]),)),
    ],
)
def test_a_study_answers_all_its_claims_and_no_other_also_with_nothing_to_go_by(
    study: str, conclusions: tuple[Conclusion, ...]
) -> None:
    assert [one.id for one in conclusions] == of_study(study)
    assert {one.outcome for one in conclusions} == {OPEN}
    assert all(one.evidence and one.rule == claims()[one.id].rule for one in conclusions)


def test_no_file_answers_what_is_no_claim_and_no_claim_is_answered_in_two() -> None:
    answered = [claim for file in EXPERIMENT_FILES for claim in answered_in(file)]
    assert len(answered) == len(set(answered)) > 5
    assert set(answered) <= claims().keys()
    assert {claims()[claim].study for claim in answered} <= EXPERIMENTS.keys()


def test_every_claim_says_where_what_and_by_which_rule() -> None:
    assert len(claims()) == 21
    for claim in claims().values():
        assert claim.place.startswith("§")
        words = ("Replicated:", "Not replicated:")
        if "H" in claim.place:
            words = ("Supported:", "Not supported:")
        assert all(word in claim.rule for word in words), claim.id


@pytest.mark.parametrize(
    ("outcomes", "outcome"),
    [
        ([YES, YES], YES),
        ([YES, OPEN], OPEN),
        ([YES, OPEN, NO], NO),
        ([], OPEN),
    ],
)
def test_a_claim_on_several_needs_each_and_falls_with_one(outcomes: list[Outcome], outcome: Outcome) -> None:
    assert every(outcomes) is outcome


def test_an_answer_has_the_claim_s_own_words() -> None:
    claim = claims()["int8"]
    found = answer("int8", YES, "numbers")
    assert (found.id, found.claim, found.rule) == ("int8", claim.claim, claim.rule)
    assert (found.outcome, found.evidence) == (YES, "numbers")
