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
    """The claims that a file names, in which `answer` is called."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    if not any(isinstance(node, ast.Name) and node.id == "answer" for node in nodes):
        return set()
    words = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return words & claims().keys()


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


def test_every_claim_is_answered_in_one_file_and_by_the_study_that_it_names() -> None:
    answered = {file.stem: answered_in(file) for file in EXPERIMENT_FILES}
    assert sorted(claim for some in answered.values() for claim in some) == sorted(claims())
    for file, some in answered.items():
        for claim in some:
            # The study's module, or one that it imports beside it.
            study = EXPERIMENT_FILES[0].parent / f"{EXPERIMENTS[claims()[claim].study].module}.py"
            assert file == study.stem or f"experiments.{file} import" in study.read_text(), claim


def test_every_claim_says_where_what_and_by_which_rule() -> None:
    assert len(claims()) == 21
    for claim in claims().values():
        assert claim.place.startswith("§")
        words = ("Supported", "Not supported") if "H" in claim.place else ("Replicated", "Not replicated")
        assert all(f"{word}:" in claim.rule or f"{word} there:" in claim.rule for word in words), claim.id


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
