"""Precisions as a table and as a figure."""

from collections.abc import Mapping, Sequence

from steergauge.statistics.comparisons import adjust_holm
from steergauge.studies.experiments.conditions import best_of, points, rate_point
from steergauge.studies.experiments.quantized import Origin, Quantized
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_result import (
    OUTPUTS,
    Cell,
    Column,
    ColumnKind,
    Estimate,
    Series,
    StudyFigure,
    StudyTable,
    outputs_of,
)


def adjusted(measured: Sequence[Quantized]) -> list[float | None]:
    """Each comparison's p value with Holm's correction over all of them; None where there was none to make."""
    compared = [one.comparison for one in measured]
    corrected = iter(adjust_holm([one.p_value for one in compared if one is not None]))
    return [None if one is None else next(corrected) for one in compared]


def precisions_table(
    references: Mapping[str, GaugeResult], measured: Sequence[Quantized], first: str
) -> StudyTable:
    """Full precision's best condition of each model, then every precision's with both directions.

    Args:
        references: the gauges in full precision, by model.
        measured: the other precisions.
        first: what full precision is called.
    """
    rows: list[dict[str, Cell]] = []
    p_values = list(zip(measured, adjusted(measured), strict=True))
    for name, full in references.items():
        if best := best_of(full):
            rows.append(
                {
                    "model": name,
                    "precision": first,
                    "origin": Origin.OWN.value,
                    "block": best.block,
                    "dose": best.dose.raw,
                    "refusal": best.effect,
                    "garbled": best.garbled,
                    "unsteered": full.unsteered.refusal,
                    OUTPUTS: outputs_of(f"{name}, {first}", best.id),
                }
            )
        rows += [_row(one, p_value) for one, p_value in p_values if one.model.name == name]
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
            "Paired by prompt with full precision on the prompts that both answer unsteered: exact McNemar, Holm over all rows. "
            "Full precision's condition was chosen on half of the prompts, so the differences lean against the others.",
            "Cosine and ‖Δ‖ are of the direction extracted in that precision, against full precision's, whichever was "
            "steered with.",
        ),
    )


def _row(one: Quantized, p_value: float | None) -> dict[str, Cell]:
    row: dict[str, Cell] = {
        "model": one.model.name,
        "precision": one.model.precision,
        "origin": one.origin.value,
        "block": one.condition.block,
        "dose": one.condition.dose.raw,
        "refusal": one.condition.effect,
        "garbled": one.condition.garbled,
        "unsteered": one.unsteered,
        "p": p_value,
        "cosine": float(one.cosines[one.condition.block]),
        "median": one.median_cosine,
        "norms": one.norm_ratio,
        OUTPUTS: outputs_of(one.gauge, one.condition.id),
    }
    if one.comparison is not None:
        compared = one.comparison
        row["difference"] = Estimate(value=compared.difference, low=compared.low, high=compared.high)
    return row


def precisions_figure(
    references: Mapping[str, GaugeResult], measured: Sequence[Quantized], first: str
) -> StudyFigure:
    """Coherent refusal by precision with each one's own direction, a series a model."""
    series = []
    for name, full in references.items():
        best = best_of(full)
        found = [rate_point(first, best.effect)] if best else []
        found += [
            rate_point(one.model.precision, one.condition.effect)
            for one in measured
            if one.model.name == name and one.origin is Origin.OWN
        ]
        series.append(Series(name=name, points=points(found)))
    return StudyFigure(
        name="precisions",
        title="Coherent refusal by precision, directions of its own",
        x_label="precision",
        y_label="share of prompts",
        series=tuple(series),
    )
