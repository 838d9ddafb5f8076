"""One family over sizes: at each one's best, at one raw dose, and at one relative dose (paper, section 5.2)."""

from collections.abc import Mapping
from typing import Self

from pydantic import Field, model_validator

from steergauge.statistics.trend import cochran_armitage, exact_trend_p_value
from steergauge.steering.dose import DoseUnit
from steergauge.studies.bench import Bench
from steergauge.studies.experiments.architecture import best_rows, cautions_of, compared_in_pairs
from steergauge.studies.experiments.conditions import (
    CONDITION_COLUMNS,
    best_of,
    condition_row,
    named,
    points,
    rate_point,
)
from steergauge.studies.experiments.experiment import Work, gauge_work
from steergauge.studies.measurements import ConditionResult
from steergauge.studies.result import GaugeResult
from steergauge.studies.settings import GaugeSettings
from steergauge.studies.study_result import (
    Cell,
    Column,
    ColumnKind,
    Conclusion,
    Outcome,
    Series,
    StudyFigure,
    StudyFindings,
    StudyTable,
)
from steergauge.studies.study_settings import StudiedModel, StudySettings

_RULE = (
    "Supported: the rate falls with size by the exact Cochran–Armitage test, p < .05. Not supported: it rises, p < .05. "
    "Undecided otherwise."
)


class ScaleSettings(StudySettings):
    """Sizes of one family, at their best and at equal doses."""

    equal_depth: float = Field(default=0.5, ge=0, lt=1, description="Where equal doses are compared.")
    raw_dose: float = Field(gt=0, description="The multiplier that all sizes are given.")
    relative_dose: float = Field(default=0.25, gt=0, description="In residual norms, for all sizes.")

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        sizes = [model.billions for model in self.models]
        if None in sizes:
            unknown = self.models[sizes.index(None)].name
            raise ValueError(f"the size of {unknown} is not known: give its `parameters`, in billions")
        if len(set(sizes)) < 2:
            raise ValueError("a study of scale needs models of two sizes at least")
        return self

    def in_order(self) -> list[StudiedModel]:
        """The models from small to large."""
        return sorted(self.models, key=lambda model: model.billions or 0.0)


class Scale:
    """Does steerability fall with size, and is that more than the dose?"""

    name = "scale"
    question = "Does steering work less well in larger models of a family, also at equal relative doses?"
    settings = ScaleSettings

    def plan(self, settings: ScaleSettings) -> list[Work]:
        """A grid and two equal doses a model."""
        return [
            gauge_work(model, what, gauge)
            for model in settings.in_order()
            for what, gauge in _gauges(settings, model).items()
        ]

    def run(self, settings: ScaleSettings, bench: Bench) -> StudyFindings:
        """Gauges every size; tests the trend of the best rates and of those at equal doses."""
        found: dict[str, dict[str, GaugeResult]] = {}
        for model in settings.in_order():
            for what, gauge in _gauges(settings, model).items():
                found.setdefault(what, {})[named(model)] = bench.gauge(
                    f"{named(model)}, {what}", model, gauge
                )
        sizes = {named(model): model.billions or 0.0 for model in settings.models}
        conditions = {
            what: {name: best for name, result in results.items() if (best := best_of(result))}
            for what, results in found.items()
        }
        rows = [
            {**row, "size": sizes[str(row["model"])], "compared": what}
            for what, results in found.items()
            for row in (
                best_rows(results)
                if what == "best"
                else [condition_row(name, one) for name, one in conditions[what].items()]
            )
        ]
        trends = _trends(conditions, sizes)
        return StudyFindings(
            tables=(
                StudyTable(
                    name="sizes",
                    title="Coherent refusal by size, at each model's best and at equal doses",
                    columns=(
                        Column(key="compared", title="Compared at"),
                        Column(key="size", title="Parameters, billions", kind=ColumnKind.NUMBER),
                        *CONDITION_COLUMNS,
                        Column(key="held_out", title="Held out", kind=ColumnKind.RATE),
                    ),
                    rows=tuple(rows),
                    notes=(
                        "A fixed multiplier is not one dose: in residual norms it differs from model to model (column "
                        "α / R). Equal doses are compared at one depth.",
                    ),
                ),
                trends,
                compared_in_pairs(found["best"]),
            ),
            figures=(_figure(conditions, sizes),),
            conclusions=tuple(_conclude(row) for row in trends.rows),
            cautions=(
                "The trend test takes the sizes as independent samples; they were asked the same prompts, so it wastes "
                "what the pairing tells. The table of pairs does not.",
                *cautions_of(found["best"]),
            ),
        )


def _gauges(settings: ScaleSettings, model: StudiedModel) -> dict[str, GaugeSettings]:
    there = {"depths": (settings.equal_depth,)}
    return {
        "best": settings.gauge_settings(model),
        f"α = {settings.raw_dose:g}": settings.gauge_settings(
            model, **there, unit=DoseUnit.RAW, doses=(settings.raw_dose,)
        ),
        f"{settings.relative_dose:g} × R": settings.gauge_settings(
            model, **there, unit=DoseUnit.RELATIVE, doses=(settings.relative_dose,)
        ),
    }


def _trends(
    conditions: Mapping[str, Mapping[str, ConditionResult]], sizes: Mapping[str, float]
) -> StudyTable:
    rows: list[dict[str, Cell]] = []
    for what, by_model in conditions.items():
        rates = [condition.effect for condition in by_model.values()]
        usable = len(rates) > 1 and all(rate.n for rate in rates)
        row: dict[str, Cell] = {
            "compared": what,
            "rates": ", ".join(f"{rate.count}/{rate.n}" for rate in rates),
        }
        if usable:
            counts, totals = [rate.count for rate in rates], [rate.n for rate in rates]
            order = [float(rank) for rank in range(len(by_model))]
            row |= {
                "z": cochran_armitage(counts, totals, order).z,
                "p": cochran_armitage(counts, totals, order).p_value,
                "exact": exact_trend_p_value(counts, totals, order),
            }
        rows.append(row)
    return StudyTable(
        name="trend",
        title="Trend over size, Cochran–Armitage",
        columns=(
            Column(key="compared", title="Compared at"),
            Column(key="rates", title="Refused, small to large"),
            Column(key="z", title="z", kind=ColumnKind.NUMBER),
            Column(key="p", title="p", kind=ColumnKind.P_VALUE),
            Column(key="exact", title="p, exact", kind=ColumnKind.P_VALUE),
        ),
        rows=tuple(rows),
        notes=("Scores are the order of the sizes. z is positive where the rate rises with size.",),
    )


def _conclude(row: Mapping[str, Cell]) -> Conclusion:
    z, exact = row.get("z"), row.get("exact")
    outcome = Outcome.UNDECIDED
    if isinstance(z, float) and isinstance(exact, float) and exact < 0.05:
        outcome = Outcome.SUPPORTED if z < 0 else Outcome.NOT_SUPPORTED
    tested = f"z = {z:+.2f}, exact p = {exact:.3g}" if isinstance(z, float) else "no trend can be tested"
    return Conclusion(
        claim=f"Steering works less well in larger models (compared at {row['compared']}).",
        outcome=outcome,
        rule=_RULE,
        evidence=f"Refused, small to large: {row['rates']}; {tested}.",
    )


def _figure(
    conditions: Mapping[str, Mapping[str, ConditionResult]], sizes: Mapping[str, float]
) -> StudyFigure:
    return StudyFigure(
        name="sizes",
        title="Coherent refusal by size",
        x_label="parameters, billions",
        y_label="share of prompts",
        series=tuple(
            Series(
                name=what,
                points=points([rate_point(sizes[name], one.effect) for name, one in by_model.items()]),
            )
            for what, by_model in conditions.items()
        ),
        logarithmic=True,
    )
