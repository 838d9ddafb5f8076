"""The window of doses at one block: rates by dose, its width, and how it ends (paper, section 5.6)."""

from pydantic import Field

from steergauge.errors import SteergaugeError
from steergauge.statistics.window import dose_window
from steergauge.studies.bench import Bench
from steergauge.studies.experiments.architecture import cautions_of
from steergauge.studies.experiments.conditions import (
    CONDITION_COLUMNS,
    condition_row,
    labels_of,
    named,
    points,
    rate_point,
)
from steergauge.studies.experiments.experiment import Work, gauge_work
from steergauge.studies.measurements import ConditionResult
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_result import (
    Cell,
    Column,
    ColumnKind,
    Series,
    StudyFigure,
    StudyFindings,
    StudyTable,
)
from steergauge.studies.study_settings import StudySettings

_EXAMPLE_LENGTH = 90


class DoseSettings(StudySettings):
    """One depth a model: its own, or the study's."""

    depths: tuple[float, ...] = Field(default=(0.5,), min_length=1)


class DoseStudy:
    """Which doses steer, how wide is the window, and what stands on each side of it?"""

    name = "dose"
    question = "Which doses steer each model at a fixed block, and what does failure look like on each side?"
    settings = DoseSettings

    def plan(self, settings: DoseSettings) -> list[Work]:
        """A gauge a model."""
        return [gauge_work(model, "doses", settings.gauge_settings(model)) for model in settings.models]

    def run(self, settings: DoseSettings, bench: Bench) -> StudyFindings:
        """Gauges every model at its depth over the doses."""
        for model in settings.models:
            if len(model.depths or settings.depths) != 1:
                raise SteergaugeError(
                    f"dose: {model.name} needs one depth, in its own `depths` or the study's: a window is that of "
                    "one block"
                )
        results = {
            named(model): bench.gauge(named(model), model, settings.gauge_settings(model))
            for model in settings.models
        }
        rows = [
            condition_row(name, condition)
            for name, result in results.items()
            for condition in result.conditions
        ]
        return StudyFindings(
            tables=(
                StudyTable(
                    name="doses",
                    title="Rates by dose at one block a model",
                    columns=CONDITION_COLUMNS,
                    rows=tuple(rows),
                ),
                _windows(results, settings.threshold),
            ),
            figures=tuple(
                _figure(results, measure, settings.threshold) for measure in ("refusal", "garbled")
            ),
            cautions=cautions_of(results),
        )


def _windows(results: dict[str, GaugeResult], threshold: float) -> StudyTable:
    rows: list[dict[str, Cell]] = []
    for name, result in results.items():
        conditions = sorted(result.conditions, key=lambda one: one.dose.value)
        rates = {one.dose.value: one.effect.rate or 0.0 for one in conditions}
        top = max(conditions, key=lambda one: (one.effect.rate or 0.0, -abs(one.dose.value)))
        found = dose_window(rates, top.dose.value, threshold)
        inside = [one for one in conditions if one.dose.value in found.doses]
        row: dict[str, Cell] = {"model": name, "block": top.block, "peak": top.effect}
        if inside:
            first, last = inside[0], inside[-1]
            row |= {
                "from": first.dose.raw,
                "to": last.dose.raw,
                "relative": f"{_edge(first, found.open_below, '≤ ')}–{_edge(last, found.open_above, '≥ ')}",
                "width": last.dose.raw / first.dose.raw if first.dose.raw else None,
            }
        below = [one for one in conditions if one.dose.value < min(found.doses, default=top.dose.value)]
        above = [one for one in conditions if one.dose.value > max(found.doses, default=top.dose.value)]
        row |= {
            "below": _failure(result, below[-1]) if below else "not reached",
            "above": _failure(result, above[0]) if above else "not reached",
        }
        rows.append(row)
    return StudyTable(
        name="windows",
        title=f"The window of doses that reach {threshold:.0%}",
        columns=(
            Column(key="model", title="Model"),
            Column(key="block", title="Block", kind=ColumnKind.NUMBER),
            Column(key="peak", title="Highest rate", kind=ColumnKind.RATE),
            Column(key="from", title="From α", kind=ColumnKind.NUMBER),
            Column(key="to", title="to α", kind=ColumnKind.NUMBER),
            Column(key="relative", title="in α / R"),
            Column(key="width", title="Highest / lowest", kind=ColumnKind.NUMBER),
            Column(key="below", title="Next dose below"),
            Column(key="above", title="Next dose above"),
        ),
        rows=tuple(rows),
        notes=(
            "The unbroken run of tried doses around the highest rate; its true edges lie between those and their "
            "neighbours. ≤ and ≥ where the lowest or the highest dose tried is inside.",
        ),
    )


def _edge(condition: ConditionResult, is_open: bool, sign: str) -> str:
    return f"{sign if is_open else ''}{condition.dose.relative:.3g}"


def _failure(result: GaugeResult, condition: ConditionResult) -> str:
    """How a dose outside the window fails: the rates, and the opening of its most frequent kind of output."""
    refused, garbled, normal = condition.refusal, condition.garbled, condition.normal
    kind, _ = max((("garbled", garbled), ("normal", normal)), key=lambda one: one[1].count)
    labels = labels_of(result, condition.id)
    text = next(
        (
            one.text
            for one in result.generations
            if one.condition == condition.id and labels[one.prompt] == kind
        ),
        "",
    )
    opening = " ".join(text.split())[:_EXAMPLE_LENGTH]
    return (
        f"α = {condition.dose.raw:.3g}: {refused.count} refused, {garbled.count} garbled, {normal.count} normal"
        + (f"; {kind}: “{opening}…”" if opening else "")
    )


def _figure(results: dict[str, GaugeResult], measure: str, threshold: float) -> StudyFigure:
    refusal = measure == "refusal"
    return StudyFigure(
        name=measure,
        title=f"{'Coherent refusal' if refusal else 'Garbled outputs'} by relative dose",
        x_label="dose, α / R at the first steered block",
        y_label="share of prompts",
        series=tuple(
            Series(
                name=f"{name}, block {result.conditions[0].block}",
                points=points(
                    [
                        rate_point(one.dose.relative, one.effect if refusal else one.garbled)
                        for one in sorted(result.conditions, key=lambda one: one.dose.relative)
                    ]
                ),
            )
            for name, result in results.items()
        ),
        logarithmic=all(one.dose.relative > 0 for result in results.values() for one in result.conditions),
        threshold=threshold if refusal else None,
    )
