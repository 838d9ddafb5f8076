"""Subsets of the contrast set on the phantom, where what a direction refuses follows from its cosine with û."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from phantom_study import PROMPTS, run, settings, table

from steergauge.activations.hooks import capture
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.models.phantom import Phantom
from steergauge.prompts import ContrastSet, study_contrast_set
from steergauge.studies.experiments.contrast_subsets import (
    Kind,
    SetReadings,
    read_sets,
    refused_pairs,
    subsets_of,
    whole_set,
)
from steergauge.studies.experiments.extraction import Extraction, ExtractionSettings
from steergauge.studies.measurements import Rate
from steergauge.studies.run import Silent
from steergauge.studies.study_result import Outcome, StudyResult

BLOCK, DOSE = 3, 2.0
STUDY = study_contrast_set()


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> ExtractionSettings:
    folder = tmp_path_factory.mktemp("extraction")
    path = folder / "three.csv"
    pairs = list(zip(STUDY.positive, STUDY.negative, strict=True))[:3]
    path.write_text(
        "positive,negative\n" + "".join(f"{one},{other}\n" for one, other in pairs), encoding="utf-8"
    )
    found = settings(folder, "extraction", contrast=path, contrasts=[], sizes=[1, 3], doses=[DOSE], draws=10)
    assert isinstance(found, ExtractionSettings)
    return found


@pytest.fixture(scope="module")
def result(phantom_model: Model, declared: ExtractionSettings) -> StudyResult:
    assert declared.prompts
    return run(phantom_model, declared.prompts.parent, declared)


@pytest.fixture(scope="module")
def differences(phantom_model: Model) -> NDArray[np.float64]:
    """Δ of each pair alone after the steered block, (pairs, width)."""
    positive, negative = (
        capture(phantom_model, prompts).at(-1)[:, BLOCK].astype(np.float64)
        for prompts in (STUDY.positive, STUDY.negative)
    )
    return positive - negative


def test_a_subset_refuses_what_its_cosine_with_the_planted_direction_says(
    result: StudyResult, phantom: Phantom, differences: NDArray[np.float64]
) -> None:
    rows = {str(row["subset"]): row for row in table(result, "subsets").rows}
    assert list(rows) == ["three", "three, 1 pair", *(f"three without pair {n}" for n in range(1, 4))]
    whole = differences[:3].mean(axis=0)
    for left_out in range(3):
        row = rows[f"three without pair {left_out + 1}"]
        mean = np.delete(differences[:3], left_out, axis=0).mean(axis=0)
        unit = mean / np.linalg.norm(mean)
        assert row["cosine"] == pytest.approx(unit @ whole / np.linalg.norm(whole), abs=1e-5)
        along = DOSE * float(unit @ phantom.direction)
        expected = sum(
            phantom.refusal_dose(prompt, BLOCK) < along < phantom.garbling_dose(prompt, BLOCK)
            for prompt in PROMPTS
        )
        refused = row["refusal"]
        assert isinstance(refused, Rate)
        assert refused.count == expected


def test_the_plan_says_how_many_generations_are_made_at_most(
    declared: ExtractionSettings, result: StudyResult
) -> None:
    whole, others = Extraction().plan(declared)
    # Control, the whole set and one random vector, and the contrast prompts; four subsets and one that might be.
    assert (whole.generations, others.generations) == (3 * 12 + 6, 5 * 12)
    assert result.made_now == 3 * 12 + 6 + 4 * 12


def test_two_conclusions_tell_size_from_composition(result: StudyResult) -> None:
    size, composition = result.conclusions
    assert "how many pairs" in size.claim
    assert "0 of 1 differ" in size.evidence
    assert "of 3 differ" in composition.evidence
    assert composition.outcome is not Outcome.SUPPORTED


def test_random_subsets_are_compared_with_their_own_whole_set(
    phantom_model: Model, differences: NDArray[np.float64]
) -> None:
    readings: SetReadings = read_sets(phantom_model, [STUDY], Silent())
    (found,) = readings.by_size("dim", [1, 5, 9], draws=30, seed=0)
    assert (found.size, found.cosines.shape, found.degenerate) == (1, (30, 6), 0)
    whole = differences.mean(axis=0)
    single = differences @ whole / (np.linalg.norm(differences, axis=1) * np.linalg.norm(whole))
    drawn = found.cosines[:, BLOCK]
    assert all(np.abs(single - one).min() < 1e-5 for one in drawn)
    assert {int(np.abs(single - one).argmin()) for one in drawn} == set(range(5))


def test_smaller_subsets_lie_within_larger_ones_and_keep_the_set_s_order() -> None:
    whole, one, three, *left_out = subsets_of(STUDY, [3, 1, 5], 0, leave_one_out=True)
    assert (whole.contrast_set, len(one.pairs), len(three.pairs)) == (STUDY, 1, 3)
    assert set(one.pairs) < set(three.pairs)
    assert list(three.pairs) == sorted(three.pairs)
    assert [subset.kind for subset in left_out] == [Kind.LEFT_OUT] * 5
    assert left_out[2].contrast_set.positive == STUDY.positive[:2] + STUDY.positive[3:]
    assert left_out[2].contrast_set.negative == STUDY.negative[:2] + STUDY.negative[3:]


def test_only_pairs_whose_harmful_prompt_is_refused_are_kept_where_that_makes_a_difference() -> None:
    (found,) = refused_pairs(STUDY, [STUDY.positive[1], STUDY.positive[4], STUDY.negative[0]])
    assert found.pairs == (1, 4)
    assert refused_pairs(STUDY, STUDY.positive) == []
    assert refused_pairs(STUDY, []) == []


def test_classes_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(SteergaugeError, match="odd has 2 positive and 1 negative"):
        whole_set(ContrastSet(name="odd", positive=("a", "b"), negative=("c",)))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"doses": None}, "one depth and one dose"),
        ({"doses": [1, 2]}, "one depth and one dose"),
        ({"depths": [0.4, 0.5]}, "one depth and one dose"),
        ({"methods": ["dim", "svd"]}, "by one method"),
        ({"methods": ["arditi"]}, "no extraction method"),
        ({"unit": "separation"}, "equal dose"),
        ({"sizes": [0]}, "1 or more"),
    ],
)
def test_sets_that_would_not_be_compared_alike_are_refused(
    tmp_path: Path, changed: dict[str, object], message: str
) -> None:
    with pytest.raises(SteergaugeError, match=message):
        settings(tmp_path, "extraction", **{"doses": [1], **changed})
