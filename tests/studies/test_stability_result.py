"""Stability on a model, and the verdict over methods and designs."""

import numpy as np
import pytest

from steergauge.activations.hooks import capture
from steergauge.directions.stability import Design, Robustness, Stability, bootstrap_stability
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.prompts import ContrastSet, study_contrast_set
from steergauge.studies.measure_stability import measure_stability
from steergauge.studies.stability import (
    StabilityResult,
    StabilitySettings,
    cosine_without_difference,
    judge_method,
    runs,
)


def drawn(*cosines: float, design: Design = Design.BOOTSTRAP, degenerate: int = 0) -> Stability:
    """Three draws that agree, of one cosine a block."""
    return Stability("dim", design, False, 3 + degenerate, degenerate, None, np.tile(cosines, (3, 1)))


def test_the_cosines_are_those_of_the_library_whatever_else_was_asked_for(phantom_model: Model) -> None:
    result = measure_stability(phantom_model, StabilitySettings(methods=("svd", "dim"), draws=30, seed=7))
    positive, negative = (
        capture(phantom_model, prompts).at(-1)
        for prompts in (study_contrast_set().positive, study_contrast_set().negative)
    )
    alone = bootstrap_stability("dim", positive, negative, np.random.default_rng(7), draws=30)
    found = result.methods[1].designs[0]
    assert (result.methods[1].method, found.design) == ("dim", Design.BOOTSTRAP)
    assert [at.median for at in found.blocks] == [at.median for at in alone.by_block]
    assert [at.minimum for at in found.blocks] == list(alone.cosines.min(axis=0))


def test_equal_runs_are_equal_bytes_and_the_json_reads_back(phantom_model: Model) -> None:
    first, second = (measure_stability(phantom_model, StabilitySettings(draws=5)) for _ in range(2))
    assert first.to_json() == second.to_json()
    assert StabilityResult.model_validate_json(first.to_json()) == first


def test_one_fragile_block_in_one_design_makes_a_method_fragile_and_is_named() -> None:
    found = judge_method(
        "dim", [drawn(0.96, 0.97, 0.99, 0.98), drawn(0.96, 0.94, 0.93, 0.95, design=Design.HALVES)]
    )
    assert found.verdict is Robustness.FRAGILE
    assert found.sentence == (
        "dim is fragile: the median cosine is below 0.95 at 2 of 4 blocks (1–2) in halves, "
        "at no block in the bootstrap."
    )
    assert [at.verdict for at in found.designs[0].blocks] == [Robustness.ROBUST] * 4


def test_robust_everywhere_is_robust_and_fragile_everywhere_has_no_list() -> None:
    found = judge_method("dim", [drawn(0.95, 1.0), drawn(0.99, 0.96, design=Design.HALVES)])
    assert found.verdict is Robustness.ROBUST
    assert found.sentence == (
        "dim is robust: the median cosine is at least 0.95 at every block, in the bootstrap and in halves."
    )
    found = judge_method("dim", [drawn(0.5, 0.2)])
    assert (
        found.sentence == "dim is fragile: the median cosine is below 0.95 at all 2 blocks in the bootstrap."
    )


def test_degenerate_draws_count_against_a_verdict() -> None:
    assert judge_method("dim", [drawn(0.99, degenerate=2)]).verdict is Robustness.ROBUST
    assert judge_method("dim", [drawn(0.99, degenerate=4)]).verdict is Robustness.FRAGILE


@pytest.mark.parametrize(
    ("blocks", "text"), [([], ""), ([3], "3"), ([0, 1, 2, 5, 7, 8], "0–2, 5, 7–8"), ([1, 3], "1, 3")]
)
def test_runs_of_blocks_are_ranges(blocks: list[int], text: str) -> None:
    assert runs(blocks) == text


@pytest.mark.parametrize(("positive", "negative"), [(5, 5), (4, 12), (20, 20)])
def test_classes_of_one_noise_have_about_the_cosine_that_is_told(positive: int, negative: int) -> None:
    generator = np.random.default_rng(0)
    ours = generator.normal(size=(positive, 1, 20_000)).astype(np.float32)
    theirs = generator.normal(size=(negative, 1, 20_000)).astype(np.float32)
    found = bootstrap_stability("dim", ours, theirs, generator, draws=300).at(0)
    assert found.median == pytest.approx(cosine_without_difference(positive, negative), abs=0.04)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ()}, "one or more methods, each once; not none"),
        ({"designs": ()}, "one or more designs"),
        ({"designs": (Design.HALVES, Design.HALVES)}, "not halves, halves"),
        ({"draws": 0}, "at least one draw"),
        ({"seed": -1}, "a seed of 0 or more"),
        ({"methods": ("caa",), "in_pairs": False}, "caa reads pairs"),
        (
            {
                "methods": ("svd",),
                "contrast_set": ContrastSet(name="m", positive=("a",), negative=("b", "c")),
            },
            "1 positive and 2 negative",
        ),
    ],
)
def test_settings_that_cannot_be_drawn_are_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(SteergaugeError, match=message):
        StabilitySettings(**options)  # type: ignore[arg-type]
