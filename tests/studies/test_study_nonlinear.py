"""Hypothesis 2 on the phantom: heads that refuse, where dim is given too little to."""

from pathlib import Path

import pytest
from phantom_study import PROMPTS, run, settings, table

from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.studies.measurements import Rate
from steergauge.studies.study_result import Outcome

ENOUGH, LITTLE = 1.5, 0.01


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nonlinear")


@pytest.mark.parametrize(
    ("doses", "expected", "said"),
    [
        ((LITTLE, 10.0), Outcome.SUPPORTED, "dim 0/6; iti 6/6"),
        ((LITTLE, 0.01), Outcome.NOT_SUPPORTED, "dim 0/6; iti 0/6"),
        ((ENOUGH, 10.0), Outcome.UNDECIDED, "untestable: dim does not fail here, 6/6"),
    ],
    ids=["heads refuse", "nothing refuses", "dim refuses"],
)
def test_the_hypothesis_is_tested_where_dim_fails(
    phantom_model: Model, folder: Path, doses: tuple[float, float], expected: Outcome, said: str
) -> None:
    # Block 0 alone reads the classes, so only its heads can be steered: one of them, a twentieth of all.
    declared = settings(
        folder, "nonlinear", methods=["dim", "iti"], depths=[0.0], doses=doses[:1], head_doses=doses[1:]
    )
    found = run(phantom_model, folder, declared)
    (conclusion,) = found.conclusions
    assert conclusion.outcome is expected
    assert said in conclusion.evidence
    rows = table(found, "methods").rows
    assert [row["method"] for row in rows] == ["dim", "iti"]
    held_out = rows[1]["held_out"]
    assert isinstance(held_out, Rate)
    assert held_out.n == len(PROMPTS) // 2


def test_dim_is_what_the_others_are_compared_with(tmp_path: Path) -> None:
    with pytest.raises(SteergaugeError, match="dim is the first method, not rfm"):
        settings(tmp_path, "nonlinear", methods=["rfm", "dim"])
