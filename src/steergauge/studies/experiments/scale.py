"""One family over sizes: at each one's best, at one raw dose, and at one relative dose (paper, section 5.2)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

from pydantic import Field, model_validator
from scipy.stats import rankdata

from steergauge.statistics.trend import cochran_armitage, exact_trend_p_value
from steergauge.steering.dose import DoseUnit
from steergauge.studies.bench import Bench
from steergauge.studies.experiments.best import BEST_COLUMNS, BEST_NOTE, best_row
from steergauge.studies.experiments.comparisons import PAIR_COLUMNS, PAIRS_NOTE, compared_in_pairs
from steergauge.studies.experiments.conditions import (
    CONDITION_COLUMNS,
    RATES_NOTE,
    cautions_of,
    points,
    rate_point,
)
from steergauge.studies.experiments.experiment import Work, gauge_work
from steergauge.studies.experiments.scale_claims import answers
from steergauge.studies.measurements import Rate
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
from steergauge.studies.study_settings import OneMethodSettings, StudiedModel

_RULE = (
    "Supported: the rate falls with size by the exact Cochran–Armitage test, p < .05. Not supported: it rises, p < .05. "
    "Undecided otherwise."
)
_BEST = "best"
_COMPARED = Column(key="compared", title="Compared at")


class ScaleSettings(OneMethodSettings):
    """Sizes of one family, at their best and at equal doses."""

    equal_depth: float = Field(default=0.5, ge=0, lt=1, description="Where equal doses are compared.")
    raw_dose: float = Field(gt=0, description="The multiplier that all sizes are given.")
    relative_dose: float = Field(default=0.25, gt=0, description="In residual norms, for all sizes.")

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        for model in self.models:
            if model.billions is None:
                raise ValueError(
                    f"the size of {model.label} is not known: give its `parameters`, in billions"
                )
        if len({model.billions for model in self.models}) < 2:
            raise ValueError("a study of scale needs models of two sizes at least")
        return self

    def in_order(self) -> list[StudiedModel]:
        """The models from small to large."""
        return sorted(self.models, key=lambda model: model.billions or 0.0)

    def gauges(self, model: StudiedModel) -> dict[str, GaugeSettings]:
        """A model's gauges, by what the sizes are compared at."""
        there = {"depths": (self.equal_depth,)}
        return {
            _BEST: self.gauge_settings(model),
            f"α = {self.raw_dose:g}": self.gauge_settings(
                model, **there, unit=DoseUnit.RAW, doses=(self.raw_dose,)
            ),
            f"{self.relative_dose:g} × R": self.gauge_settings(
                model, **there, unit=DoseUnit.RELATIVE, doses=(self.relative_dose,)
            ),
        }


class Sized(NamedTuple):
    """A model's rate, as the trend is tested on it."""

    name: str
    billions: float
    rate: Rate


class Scale:
    """Does steerability fall with size, and is that more than the dose?"""

    settings = ScaleSettings

    def plan(self, settings: ScaleSettings) -> list[Work]:
        """A grid and two equal doses a model."""
        return [
            gauge_work(model, what, gauge)
            for model in settings.in_order()
            for what, gauge in settings.gauges(model).items()
        ]

    def run(self, settings: ScaleSettings, bench: Bench) -> StudyFindings:
        """Gauges every size; tests the trend of the best rates and of those at equal doses."""
        found: dict[str, dict[str, GaugeResult]] = {}
        for model in settings.in_order():
            for what, gauge in settings.gauges(model).items():
                label = _label(model.label, what)
                found.setdefault(what, {})[model.label] = bench.gauge(label, model, gauge)
        sizes = {model.label: model.billions or 0.0 for model in settings.models}
        sized = {
            what: [
                Sized(name, sizes[name], rate)
                for name, result in results.items()
                if (rate := _rate(result)) is not None and rate.n
            ]
            for what, results in found.items()
        }
        trends = {what: trend_row(of) for what, of in sized.items()}
        pairs = {what: compared_in_pairs(results) for what, results in found.items()}
        at_best, _, at_relative = trends.values()
        families = sorted({model.family for model in settings.models if model.family})
        return StudyFindings(
            tables=(
                _sizes_table(found, sizes),
                _trend_table(trends),
                StudyTable(
                    name="pairs",
                    title="Sizes compared in pairs, on the same prompts",
                    columns=(_COMPARED, *PAIR_COLUMNS),
                    rows=tuple({"compared": what, **row} for what, rows in pairs.items() for row in rows),
                    notes=(PAIRS_NOTE, "Holm’s correction is over the pairs of each way of comparing."),
                ),
            ),
            figures=(_figure(sized),),
            conclusions=(
                *(_conclude(what, row) for what, row in trends.items()),
                *answers(settings.models, (at_best, pairs[_BEST]), at_relative),
            ),
            cautions=(
                *(
                    [
                        f"The models are of several families ({', '.join(families)}): size is not all that differs."
                    ]
                    if len(families) > 1
                    else []
                ),
                "The trend test takes the sizes as independent samples; they were asked the same prompts, so it wastes "
                "what the pairing tells. The table of pairs does not.",
                *cautions_of(found[_BEST]),
            ),
        )


def trend_row(sized: Sequence[Sized]) -> dict[str, Cell]:
    """The Cochran–Armitage test over sizes, scored by their order; equal sizes have equal scores.

    Args:
        sized: models with at least one prompt each, small to large. Fewer than two sizes have no trend.
    """
    row: dict[str, Cell] = {
        "rates": ", ".join(f"{one.name} {one.rate.count}/{one.rate.n}" for one in sized) or "nothing measured"
    }
    order = rankdata([one.billions for one in sized], method="dense").astype(float).tolist()
    if len(set(order)) > 1:
        counts, totals = [one.rate.count for one in sized], [one.rate.n for one in sized]
        trend = cochran_armitage(counts, totals, order)
        row |= {
            "z": trend.z,
            "p": trend.p_value,
            "exact": exact_trend_p_value(counts, totals, order),
        }
    return row


def _label(name: str, what: str) -> str:
    return f"{name}, {what}"


def _rate(result: GaugeResult) -> Rate | None:
    """Coherent refusal: of the only condition, or of the best one on the prompts that it was not chosen on."""
    if len(result.conditions) == 1:
        return result.conditions[0].effect
    return result.best.reported_on if result.best else None


def _sizes_table(found: Mapping[str, Mapping[str, GaugeResult]], sizes: Mapping[str, float]) -> StudyTable:
    rows: list[dict[str, Cell]] = []
    for what, results in found.items():
        for name, result in results.items():
            row = best_row(name, result, _label(name, what))
            if what != _BEST:
                row.pop("held_out", None)  # nothing was chosen
            rows.append({**row, "compared": what, "size": sizes[name]})
    model, *others = CONDITION_COLUMNS
    return StudyTable(
        name="sizes",
        title="Coherent refusal by size, at each model's best and at equal doses",
        columns=(
            _COMPARED,
            model,
            Column(key="size", title="Billions", kind=ColumnKind.NUMBER),
            *others,
            *BEST_COLUMNS,
        ),
        rows=tuple(rows),
        notes=(
            BEST_NOTE,
            RATES_NOTE,
            "A fixed multiplier is not one dose: in residual norms it differs from model to model (α / R). Equal doses "
            "are compared at one depth, where nothing was chosen.",
        ),
    )


def _trend_table(trends: Mapping[str, Mapping[str, Cell]]) -> StudyTable:
    return StudyTable(
        name="trend",
        title="Trend over size, Cochran–Armitage",
        columns=(
            _COMPARED,
            Column(key="rates", title="Refused, small to large"),
            Column(key="z", title="z", kind=ColumnKind.NUMBER),
            Column(key="p", title="p", kind=ColumnKind.P_VALUE),
            Column(key="exact", title="p, exact", kind=ColumnKind.P_VALUE),
        ),
        rows=tuple({"compared": what, **row} for what, row in trends.items()),
        notes=(
            "Scores are the order of the sizes; z is positive where the rate rises with size. At their best, models are "
            "compared by the rate on the prompts that the condition was not chosen on.",
        ),
    )


def _conclude(what: str, row: Mapping[str, Cell]) -> Conclusion:
    z, exact = row.get("z"), row.get("exact")
    outcome, tested = Outcome.UNDECIDED, "no trend can be tested"
    if isinstance(z, float) and isinstance(exact, float):
        tested = f"z = {z:+.2f}, exact p = {exact:.2g}".replace("-", "−")
        if exact < 0.05:
            outcome = Outcome.SUPPORTED if z < 0 else Outcome.NOT_SUPPORTED
    where = "each at its best" if what == _BEST else f"all at {what}"
    return Conclusion(
        claim=f"Steering works less well in larger models, {where}.",
        outcome=outcome,
        rule=_RULE,
        evidence=f"Refused, small to large: {row['rates']}; {tested}.",
    )


def _figure(sized: Mapping[str, Sequence[Sized]]) -> StudyFigure:
    return StudyFigure(
        name="sizes",
        title="Coherent refusal by size",
        x_label="billions of parameters",
        y_label="share of prompts",
        series=tuple(
            Series(
                name="best, held out" if what == _BEST else what,
                points=points([rate_point(one.billions, one.rate) for one in of]),
            )
            for what, of in sized.items()
        ),
        logarithmic=True,
    )
