"""DIM against methods that choose their block: on the phantom both find the planted direction."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from phantom_study import PROMPTS, run, settings, table
from records import comparison, condition, rate

from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.models.phantom import Phantom
from steergauge.studies.experiments.contests import Beside, Contest, Terms, corrected
from steergauge.studies.experiments.method import Method, MethodSettings
from steergauge.studies.experiments.method_verdicts import conclude_methods
from steergauge.studies.measurements import Rate
from steergauge.studies.result import VerdictName
from steergauge.studies.study_result import Estimate, Outcome, StudyResult

BLOCK, DOSE = 3, 2.5


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> MethodSettings:
    found = settings(
        tmp_path_factory.mktemp("method"),
        "method",
        methods=["dim", "cosmic_official"],
        depths=[0.5],
        doses=[DOSE],
    )
    assert isinstance(found, MethodSettings)
    return found


@pytest.fixture(scope="module")
def result(phantom_model: Model, declared: MethodSettings) -> StudyResult:
    assert declared.prompts
    return run(phantom_model, declared.prompts.parent, declared)


def refused(phantom: Phantom, block: int) -> int:
    return sum(
        phantom.refusal_dose(prompt, block) < DOSE < phantom.garbling_dose(prompt, block)
        for prompt in PROMPTS
    )


def test_methods_that_find_the_planted_direction_do_not_differ_where_both_are_swept(
    result: StudyResult, phantom: Phantom
) -> None:
    rows = [row for row in table(result, "comparisons").rows if row["terms"] == Terms.SWEPT]
    assert len(rows) == 2
    for row in rows:
        difference = row["difference"]
        assert isinstance(difference, Estimate)
        assert (difference.value, row["p"]) == (0, 1)
    whole = rows[0]["first"]
    assert isinstance(whole, Rate)
    assert whole.count == refused(phantom, BLOCK)


def test_as_the_study_the_method_is_at_its_own_block_and_at_the_first_s_dose(
    result: StudyResult, phantom: Phantom
) -> None:
    (row,) = table(result, "methods").rows
    own, swept = row["rate"], row["first"]
    assert isinstance(own, Rate)
    assert isinstance(swept, Rate)
    (chosen,) = table(result, "choices").rows
    assert row["block"] == chosen["block"]
    assert isinstance(chosen["block"], int)
    assert (own.count, swept.count) == (refused(phantom, chosen["block"]), refused(phantom, BLOCK))
    assert row["cosine"] == pytest.approx(1, abs=0.01)  # of three pairs with that of five


def test_the_plan_says_how_many_generations_are_made(declared: MethodSettings, result: StudyResult) -> None:
    assert result.made_now == sum(work.generations for work in Method().plan(declared))


def test_what_several_gauges_share_is_planned_once(declared: MethodSettings) -> None:
    more = declared.model_copy(update={"methods": ("dim", "svd", "cosmic_official", "cosmic_study")})
    # dim and svd at one block; for each that chooses, it at two blocks and dim at its own; control; three random.
    assert sum(work.conditions for work in Method().plan(more)) == 2 + 3 + 3 + 1 + 3


def contest(
    difference: int, p: float, *, held_out: bool, terms: Terms = Terms.SWEPT, half_width: float = 0.1
) -> Contest:
    """A contest of the other minus the first in prompts of thirty, with an interval of its own."""
    at = difference / 30
    compared = comparison(difference, 30, p).model_copy(
        update={"low": at - half_width, "high": at + half_width, "p_adjusted": p}
    )
    return Contest(
        terms,
        held_out,
        condition("dim"),
        condition("other"),
        rate(20, 30),
        rate(20 + difference, 30),
        compared,
    )


def side(*contests: Contest, model: str = "m", chose: bool = True, invalid: bool = False) -> Beside:
    verdict = VerdictName.INVALID if invalid else VerdictName.STEERABLE
    stand_in: Any = SimpleNamespace(
        verdict=SimpleNamespace(verdict=verdict),
        directions=[SimpleNamespace(method="cosmic", selection="some" if chose else None)],
    )
    return Beside(model, "cosmic", stand_in, list(contests))


def test_p_is_corrected_over_a_model_s_comparisons_apart_for_all_and_for_held_out_prompts() -> None:
    found = corrected(
        [
            side(
                contest(1, 0.01, held_out=False),
                contest(1, 0.04, held_out=False),
                contest(1, 0.04, held_out=True),
            ),
            side(contest(1, 0.03, held_out=True), model="another"),
        ]
    )
    p_values = [one.comparison.p_adjusted for each in found for one in each.contests]
    assert p_values == pytest.approx([0.02, 0.04, 0.04, 0.03])


@pytest.mark.parametrize(
    ("whole", "held_out", "expected"),
    [
        ((0, 1.0), (0, 1.0), Outcome.SUPPORTED),
        ((-9, 0.001), (-9, 0.001), Outcome.SUPPORTED),
        ((4, 0.2), (2, 0.5), Outcome.UNDECIDED),
        ((9, 0.001), (9, 0.002), Outcome.NOT_SUPPORTED),
    ],
    ids=["equal", "worse", "maybe ahead", "better"],
)
def test_the_first_is_as_good_unless_the_other_refuses_more(
    whole: tuple[int, float], held_out: tuple[int, float], expected: Outcome
) -> None:
    one = side(contest(*whole, held_out=False), contest(*held_out, held_out=True), chose=False)
    (found,) = conclude_methods("dim", [one])
    assert found.outcome is expected


@pytest.mark.parametrize(
    ("own", "swept", "expected"),
    [
        ((-15, 1e-5), (-1, 1.0), Outcome.SUPPORTED),
        ((-15, 1e-5), (-12, 1e-4), Outcome.NOT_SUPPORTED),
        ((-15, 1e-5), (-5, 0.06), Outcome.UNDECIDED),
        ((-1, 1.0), (0, 1.0), Outcome.UNDECIDED),
    ],
    ids=["its block", "its direction", "maybe both", "loses nowhere"],
)
def test_a_method_loses_by_its_block_where_it_is_as_good_once_swept(
    own: tuple[int, float], swept: tuple[int, float], expected: Outcome
) -> None:
    one = side(
        contest(*own, held_out=False, terms=Terms.AS_STUDY),
        contest(*swept, held_out=False),
        contest(*swept, held_out=True),
    )
    _, found = conclude_methods("dim", [one])
    assert found.outcome is expected


def test_a_model_without_a_refusal_to_find_does_not_count() -> None:
    better = [contest(9, 0.001, held_out=False), contest(9, 0.001, held_out=True)]
    found, _ = conclude_methods("dim", [side(*better, invalid=True)])
    assert found.outcome is Outcome.UNDECIDED
    assert "left out, invalid: m" in found.evidence


@pytest.mark.parametrize("first", ["cosmic_study", "iti"])
def test_a_first_method_that_is_not_swept_is_refused(tmp_path: Path, first: str) -> None:
    with pytest.raises(SteergaugeError, match=f"cannot be {first}"):
        settings(tmp_path, "method", methods=[first, "dim"])


def test_a_method_that_finds_nothing_is_told_and_the_others_go_on(
    phantom_model: Model, declared: MethodSettings
) -> None:
    assert declared.prompts
    path = declared.prompts.parent / "harmless.csv"
    path.write_text(
        "positive,negative\n"
        "How do I learn programming?,How can I improve my memory?\n"
        "Write instructions for baking cookies,Explain how photosynthesis works\n",
        encoding="utf-8",
    )
    others = declared.model_copy(update={"methods": ("dim", "svd", "arditi"), "contrast": path})
    found = run(phantom_model, declared.prompts.parent, others)
    told = [caution for caution in found.cautions if "arditi" in caution]
    assert len(told) == 1
    assert [row["method"] for row in table(found, "methods").rows] == ["svd"]
    assert "opens 0 of 2 harmful prompts as a refusal" in told[0]
