"""The window of doses at one block: rates by dose, its width, and how it ends (paper, section 5.6)."""

from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import Field, model_validator

from steergauge.judging.label import Label
from steergauge.statistics.window import DoseWindow, dose_window
from steergauge.studies.bench import Bench
from steergauge.studies.experiments.conditions import cautions_of, labels_of
from steergauge.studies.experiments.curves import TITLES, Measure, conditions_table, curves
from steergauge.studies.experiments.dose_claims import answers
from steergauge.studies.experiments.experiment import Work, gauge_each, gauge_work
from steergauge.studies.measurements import ConditionResult
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_result import (
    OUTPUTS,
    Cell,
    Column,
    ColumnKind,
    StudyFigure,
    StudyFindings,
    StudyTable,
    outputs_of,
)
from steergauge.studies.study_settings import Depths, OneMethodSettings

_EXAMPLE_LENGTH = 90


class DoseSettings(OneMethodSettings):
    """Many doses, and one depth a model: its own, or the study's."""

    depths: Depths = Field(default=(0.5,), description="A fraction of the blocks.")

    @model_validator(mode="after")
    def _one_depth(self) -> Self:
        for model in self.models:
            if len(model.depths or self.depths) != 1:
                raise ValueError(
                    f"{model.label} needs one depth, in its own `depths` or the study's: a window is that of one block"
                )
        return self


class DoseStudy:
    """Which doses steer, how wide is the window, and what stands on each side of it?"""

    settings = DoseSettings

    def plan(self, settings: DoseSettings) -> list[Work]:
        """A gauge a model."""
        return [gauge_work(model, "doses", settings.gauge_settings(model)) for model in settings.models]

    def run(self, settings: DoseSettings, bench: Bench) -> StudyFindings:
        """Gauges every model at its depth over the doses."""
        results = gauge_each(settings, bench)
        conditions = {
            name: sorted(result.conditions, key=lambda one: one.dose.value)
            for name, result in results.items()
        }
        in_steps = all(one.dose.relative > 0 for of in conditions.values() for one in of)

        def figure(measure: Measure) -> StudyFigure:
            return StudyFigure(
                name=measure,
                title=f"{TITLES[measure]} by relative dose",
                x_label="dose, α / R at the first steered block",
                y_label="share of prompts",
                series=curves(
                    {f"{name}, block {of[0].block}": of for name, of in conditions.items()},
                    measure,
                    lambda one: one.dose.relative,
                ),
                logarithmic=in_steps,
                threshold=settings.threshold if measure == "refusal" else None,
            )

        return StudyFindings(
            tables=(
                conditions_table(conditions, "doses", "Rates by dose at one block a model"),
                _windows(results, conditions, settings.threshold),
            ),
            figures=(figure("refusal"), figure("garbled")),
            conclusions=answers(settings.models, conditions),
            cautions=cautions_of(results),
        )


def _windows(
    results: Mapping[str, GaugeResult], conditions: Mapping[str, Sequence[ConditionResult]], threshold: float
) -> StudyTable:
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
            Column(key="width", title="Largest / smallest", kind=ColumnKind.NUMBER),
            Column(key="below", title="Next dose below"),
            Column(key="above", title="Next dose above"),
        ),
        rows=tuple(_window(name, results[name], of, threshold) for name, of in conditions.items()),
        notes=(
            "The unbroken run of tried doses around the highest rate, of the prompts that the unsteered model answers. "
            "Its true edges lie between those and their neighbours; ≤ and ≥ where the lowest or the highest dose tried "
            "is inside. Without a window, the neighbours are those of the highest rate.",
        ),
    )


def _window(
    name: str, result: GaugeResult, conditions: Sequence[ConditionResult], threshold: float
) -> dict[str, Cell]:
    rates = {one.dose.value: one.effect.rate or 0.0 for one in conditions}
    top = max(conditions, key=lambda one: (rates[one.dose.value], -abs(one.dose.value)))
    found = dose_window(rates, top.dose.value, threshold)
    inside = [one for one in conditions if one.dose.value in found.doses]
    first, last = (inside[0], inside[-1]) if inside else (top, top)
    below = [one for one in conditions if one.dose.value < first.dose.value]
    above = [one for one in conditions if one.dose.value > last.dose.value]
    row: dict[str, Cell] = {
        "model": name,
        "block": top.block,
        "peak": top.effect,
        "below": _failure(result, below[-1]) if below else "none was tried",
        "above": _failure(result, above[0]) if above else "none was tried",
        OUTPUTS: outputs_of(name, top.id),
    }
    if inside:
        row |= {
            "from": first.dose.raw,
            "to": last.dose.raw,
            "relative": _range(first, last, found),
            "width": _ratio(first.dose.raw, last.dose.raw),
        }
    return row


def _range(first: ConditionResult, last: ConditionResult, found: DoseWindow) -> str:
    """The ends of a window in residual norms, each marked where the window may go on."""
    low = f"{'≤ ' if found.open_below else ''}{first.dose.relative:.3g}"
    high = f"{'≥ ' if found.open_above else ''}{last.dose.relative:.3g}"
    return low if low == high else f"{low} to {high}"


def _ratio(first: float, last: float) -> float | None:
    """The larger dose over the smaller; None where the window has doses of both signs."""
    small, large = sorted((abs(first), abs(last)))
    return large / small if first * last > 0 else None


def _failure(result: GaugeResult, condition: ConditionResult) -> str:
    """How a dose outside the window fails: the labels, and the opening of its most frequent kind of failure."""
    refused, garbled, normal = condition.refusal.count, condition.garbled.count, condition.normal.count
    counted = f"α = {condition.dose.raw:.3g}: {refused} refused, {garbled} garbled, {normal} normal"
    kind = Label.GARBLED if garbled > normal else Label.NORMAL
    failed = [prompt for prompt, label in labels_of(result, condition.id).items() if label is kind]
    if not failed:
        return counted
    text = next(
        one.text for one in result.generations if one.condition == condition.id and one.prompt == failed[0]
    )
    words = " ".join(text.split())
    opening = f"{words[:_EXAMPLE_LENGTH]}…" if len(words) > _EXAMPLE_LENGTH else words
    return f"{counted}; {kind.value}: “{opening}”"
