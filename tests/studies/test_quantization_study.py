"""Precisions of one tiny model, and what the rules make of precisions that are given."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from phantoms import OTHER, SMALL
from records import condition, rate

from steergauge.directions.dim import difference_in_means
from steergauge.directions.extract import read_contrast
from steergauge.models.loading import Model
from steergauge.prompts import study_contrast_set
from steergauge.statistics.comparisons import adjust_holm, compare_paired
from steergauge.studies.experiments.quantization import Quantization, QuantizationSettings
from steergauge.studies.experiments.quantized import Origin, Quantized
from steergauge.studies.experiments.quantized_tables import adjusted
from steergauge.studies.experiments.quantized_verdicts import conclude
from steergauge.studies.measurements import Comparison
from steergauge.studies.study import run_study
from steergauge.studies.study_result import Outcome, StudyFigure, StudyResult
from steergauge.studies.study_settings import StudiedModel

PRECISIONS = ("float32", "gguf-q8_0/float32", "gguf-q4_0/float32")


def settings(**changed: Any) -> QuantizationSettings:
    given: dict[str, Any] = {
        "study": "quantization",
        "models": ["wide"],
        "precisions": PRECISIONS,
        "depths": (0.5,),
        "doses": (1.0, 4.0),
        "max_new_tokens": 4,
        "random_directions": 1,
        "device": "cpu",
    }
    return QuantizationSettings.model_validate(given | changed)


@pytest.fixture(scope="module")
def models(tiny_model: Callable[[str], Model], quantized_model: Callable[[str], Model]) -> dict[str, Model]:
    full = {"wide, float32": tiny_model("qwen2-wide")}
    return full | {
        f"wide, {precision}": quantized_model(precision.partition("/")[0]) for precision in PRECISIONS[1:]
    }


@pytest.fixture(scope="module")
def result(models: dict[str, Model], tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    return run_study(settings(), store=tmp_path_factory.mktemp("bits") / "steergauge.db", models=models)


def test_every_precision_is_steered_with_its_own_direction_and_with_that_of_full_precision(
    result: StudyResult, models: dict[str, Model]
) -> None:
    full = {one.method: one for one in result.gauges["wide, float32"].directions}
    for precision in PRECISIONS[1:]:
        directions = {one.method: one for one in result.gauges[f"wide, {precision}"].directions}
        assert directions["dim, carried over"].digest == full["dim"].digest
        assert directions["dim, carried over"].source == "wide in float32"
        assert directions["dim"].digest != full["dim"].digest
    rows = result.tables[0].rows
    assert [(row["precision"], row["origin"]) for row in rows] == [
        ("float32", "own"),
        *((precision, origin) for precision in PRECISIONS[1:] for origin in ("own", "carried over")),
    ]
    assert len({(row["block"], row["dose"]) for row in rows}) == 1


def test_cosines_and_norms_are_those_of_the_directions_extracted_in_each_precision(
    result: StudyResult, models: dict[str, Model]
) -> None:
    found = {
        name: difference_in_means(*read_contrast(model, study_contrast_set()))
        for name, model in models.items()
    }
    for row in result.tables[0].rows[1:]:
        own, full = found[f"wide, {row['precision']}"], found["wide, float32"]
        cosines = np.sum(own.vectors.astype(np.float64) * full.vectors, axis=1)
        assert row["cosine"] == pytest.approx(cosines[2], abs=1e-6)
        assert row["median"] == pytest.approx(np.median(cosines), abs=1e-6)
        assert row["norms"] == pytest.approx(np.median(own.raw_norms / full.raw_norms))
    medians = {row["precision"]: float(row["median"]) for row in result.tables[0].rows[1:]}  # type: ignore[arg-type]
    assert medians["gguf-q4_0/float32"] < medians["gguf-q8_0/float32"] < 1


def test_its_figure_has_a_point_a_precision_and_a_plan_counts_all_conditions(result: StudyResult) -> None:
    (figure,) = result.figures
    assert isinstance(figure, StudyFigure)
    assert [point.x for point in figure.series[0].points] == list(PRECISIONS)
    planned = Quantization().plan(settings())
    assert [part.model.label for part in planned] == list(result.gauges)
    assert [part.conditions for part in planned] == [
        len(gauge.conditions) + 2 for gauge in result.gauges.values()
    ]
    assert result.made_now <= sum(part.generations for part in planned)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"precisions": ("float32",)}, "at least 2"),
        ({"precisions": ("float32", "float32")}, "repeat: float32"),
        ({"precisions": ("float32", "int9-bitsandbytes")}, "no precision 'int9-bitsandbytes'"),
        ({"models": [{"name": "wide", "precision": "bfloat16"}]}, "stands in `precisions`"),
    ],
)
def test_precisions_that_cannot_be_compared_are_refused_before_anything_runs(
    changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        settings(**changed)


def measured(
    name: str, precision: str, kept: int, *, n: int = 30, full: int = 30, cosine: float = 0.99
) -> Quantized:
    """A precision in which `kept` of the `full` refused prompts of n are still refused."""
    prompts = [str(number) for number in range(n)]
    compared = compare_paired(
        {prompt: int(prompt) < kept for prompt in prompts}, {prompt: int(prompt) < full for prompt in prompts}
    )
    return Quantized(
        model=StudiedModel(name=name, precision=precision),
        origin=Origin.OWN,
        gauge=f"{name}, {precision}",
        condition=condition("dim", effect=rate(kept, n)),
        full=condition("dim", effect=rate(full, n)),
        unsteered=rate(0, n),
        comparison=Comparison(n=n, p_adjusted=None, **compared._asdict()),
        cosines=np.full(6, cosine),
        norm_ratio=1.0,
    )


def outcomes(*these: Quantized) -> dict[str, Outcome]:
    return {one.id: one.outcome for one in conclude(these)}


def test_equal_rates_within_twenty_points_are_preserved_and_a_loss_beyond_chance_is_not() -> None:
    same = measured(SMALL, "int8-bitsandbytes", 30)
    assert same.comparison is not None
    assert same.comparison.low > -0.2
    assert outcomes(same)["int8"] is Outcome.SUPPORTED
    lost = measured(SMALL, "gguf-q8_0", 20)
    assert outcomes(same, lost)["int8"] is Outcome.NOT_SUPPORTED
    few = measured(SMALL, "gguf-q8_0", 26)  # p = .125, and the interval goes beyond 20 points
    assert outcomes(same, few)["int8"] is Outcome.UNDECIDED


def test_a_model_that_is_not_steered_in_full_precision_preserves_nothing() -> None:
    assert outcomes(measured(SMALL, "int8-torchao", 2, full=2))["int8"] is Outcome.UNDECIDED


def test_four_bits_are_concluded_on_for_models_of_known_small_size_alone() -> None:
    small = measured(SMALL, "nf4-bitsandbytes", 30)
    assert outcomes(small)["int4-small"] is Outcome.SUPPORTED
    assert outcomes(small)["int8"] is Outcome.UNDECIDED
    assert outcomes(measured("mine", "int4-torchao", 30))["int4-small"] is Outcome.UNDECIDED
    large = measured("mine", "int4-torchao", 10)
    sized = large._replace(model=large.model.model_copy(update={"parameters": 32.0}))
    assert outcomes(small, sized)["int4-small"] is Outcome.SUPPORTED
    assert outcomes(small, measured(OTHER, "gguf-q4_0", 10))["int4-small"] is Outcome.NOT_SUPPORTED


def test_directions_are_near_where_every_quantised_precision_s_median_cosine_is() -> None:
    near, far = measured(SMALL, "gguf-q8_0", 30), measured(OTHER, "gguf-q4_0", 30, cosine=0.96)
    assert outcomes(near)["int4-cosine"] is Outcome.SUPPORTED
    assert outcomes(near, far)["int4-cosine"] is Outcome.NOT_SUPPORTED
    assert outcomes(measured(SMALL, "bfloat16", 30, cosine=0.5))["int4-cosine"] is Outcome.UNDECIDED


def test_p_values_are_corrected_over_all_rows_and_rows_without_a_common_prompt_have_none() -> None:
    rows = [
        measured(SMALL, "int8-torchao", 24),
        measured(SMALL, "gguf-q8_0", 22)._replace(comparison=None),
        measured(SMALL, "int4-torchao", 20),
    ]
    first, last = (rows[index].comparison for index in (0, 2))
    assert first is not None
    assert last is not None
    corrected = adjust_holm([first.p_value, last.p_value])
    assert adjusted(rows) == [corrected[0], None, corrected[1]]
    assert [one.outcome for one in conclude([])] == [Outcome.UNDECIDED] * 3
