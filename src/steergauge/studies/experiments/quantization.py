"""The same model in several precisions: directions of its own and carried over from full precision (paper, section 5.5)."""

from typing import Self

from pydantic import Field, model_validator

from steergauge.directions.direction import Direction
from steergauge.directions.importing import ImportedDirection
from steergauge.errors import SteergaugeError
from steergauge.models.precision import resolve_device
from steergauge.models.quantizations import resolve_format
from steergauge.studies.bench import Bench
from steergauge.studies.experiments.conditions import best_of, cautions_of
from steergauge.studies.experiments.experiment import Work, gauge_work
from steergauge.studies.experiments.quantized import Origin, Quantized, quantized
from steergauge.studies.experiments.quantized_tables import precisions_figure, precisions_table
from steergauge.studies.experiments.quantized_verdicts import conclude
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_result import StudyFindings
from steergauge.studies.study_settings import OneMethodSettings, StudiedModel

_QUANTISED_BEFORE = (
    "quantised before it came here: what is called full precision is those weights dequantised, so that a further "
    "quantisation may cost less than it would on the original weights."
)


class QuantizationSettings(OneMethodSettings):
    """Precisions, of which the first is what the others are compared with."""

    precisions: tuple[str, ...] = Field(
        default=("float32", "bfloat16", "int8-bitsandbytes", "nf4-bitsandbytes"),
        min_length=2,
        description="As `steergauge gauge` takes them, full precision first.",
    )

    @model_validator(mode="after")
    def _precisions_that_can_be_had(self) -> Self:
        for model in self.models:
            if model.precision != "auto":
                raise ValueError(f"{model.name}: a precision stands in `precisions`, for all models")
        for index, precision in enumerate(self.precisions):
            if precision in self.precisions[:index]:
                raise ValueError(f"precisions has a repeat: {precision}")
            try:
                resolve_format(precision, resolve_device(self.device))
            except SteergaugeError as error:
                raise ValueError(f"precisions: {error}") from None
        return self


class Quantization:
    """Does steering survive fewer bits?"""

    settings = QuantizationSettings

    def plan(self, settings: QuantizationSettings) -> list[Work]:
        """A grid in full precision, and two conditions a further precision."""
        parts = []
        for model in settings.models:
            reference, *others = _in_each(model, settings)
            parts.append(gauge_work(reference, "grid", settings.gauge_settings(model)))
            one = settings.gauge_settings(model, depths=(0.5,), doses=(1.0,))
            parts += [
                gauge_work(other, "own and carried over", one).with_more(1, len(one.evaluation_set.prompts))
                for other in others
            ]
        return parts

    def run(self, settings: QuantizationSettings, bench: Bench) -> StudyFindings:
        """Finds the best condition in full precision, and repeats it in every other."""
        references: dict[str, GaugeResult] = {}
        measured: list[Quantized] = []
        for model in settings.models:
            reference, *others = _in_each(model, settings)
            full = bench.gauge(reference.label, reference, settings.gauge_settings(model))
            references[model.name] = full
            direction = _direction(reference, settings, bench)
            for other in others:
                measured += _in_another(other, full, direction, settings, bench)
        before = [name for name, full in references.items() if full.model.quantization]
        return StudyFindings(
            tables=(precisions_table(references, measured, settings.precisions[0]),),
            figures=(precisions_figure(references, measured, settings.precisions[0]),),
            conclusions=conclude(measured),
            cautions=(
                *([f"{', '.join(before)}: {_QUANTISED_BEFORE}"] if before else []),
                *cautions_of(references),
            ),
        )


def _in_each(model: StudiedModel, settings: QuantizationSettings) -> list[StudiedModel]:
    return [model.model_copy(update={"precision": precision}) for precision in settings.precisions]


def _direction(model: StudiedModel, settings: QuantizationSettings, bench: Bench) -> Direction:
    """The model's own, which its gauge has extracted already."""
    contrast = settings.gauge_settings(model).contrast_set
    found = bench.readings.extracted(settings.methods, bench.model(model), contrast, seed=settings.seed)
    return found.directions[settings.methods[0]]


def _in_another(
    model: StudiedModel, full: GaugeResult, direction: Direction, settings: QuantizationSettings, bench: Bench
) -> list[Quantized]:
    """Repeats full precision's best condition with both directions; nothing where there is no such condition."""
    best = best_of(full)
    if best is None:
        return []
    method = settings.methods[0]
    carried = f"{method}, carried over"
    gauge = settings.gauge_settings(model, depths=(best.block / full.model.blocks,), doses=(best.dose.value,))
    given = ImportedDirection(direction, f"{model.name} in {settings.precisions[0]}")
    result = bench.gauge(model.label, model, gauge, {carried: given})
    own = _direction(model, settings, bench)
    by_method = {condition.method: condition for condition in result.conditions}
    return [
        quantized(model, origin, (result, by_method[name]), (full, best), (own, direction))
        for origin, name in ((Origin.OWN, method), (Origin.CARRIED, carried))
    ]
