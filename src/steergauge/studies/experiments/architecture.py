"""Models of several families, each at its own best block and dose (paper, section 5.1)."""

from itertools import combinations

from steergauge.statistics.comparisons import adjust_holm
from steergauge.statistics.unpaired import cohens_h
from steergauge.studies.bench import Bench
from steergauge.studies.experiments.conditions import (
    CONDITION_COLUMNS,
    best_of,
    condition_row,
    named,
    paired,
    points,
    rate_point,
)
from steergauge.studies.experiments.experiment import Work, gauge_work
from steergauge.studies.measurements import Rate
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
from steergauge.studies.study_settings import StudySettings

_RULE = (
    "Supported: two models differ by exact McNemar, Holm-corrected over all pairs, p < .05. Not supported: no two differ "
    "and each pair's interval lies within 20 points. Undecided otherwise."
)
_EQUIVALENT = 0.2


class Architecture:
    """Is steerability a matter of the model's family?"""

    name = "architecture"
    question = "Are models of different families steerable, each at its best block and dose?"
    settings = StudySettings

    def plan(self, settings: StudySettings) -> list[Work]:
        """A gauge a model."""
        return [gauge_work(model, "grid", settings.gauge_settings(model)) for model in settings.models]

    def run(self, settings: StudySettings, bench: Bench) -> StudyFindings:
        """Gauges every model, and compares the best conditions in pairs on the same prompts."""
        results = {
            named(model): bench.gauge(named(model), model, settings.gauge_settings(model))
            for model in settings.models
        }
        rows, comparisons = best_rows(results), compared_in_pairs(results)
        return StudyFindings(
            tables=(
                StudyTable(
                    name="models",
                    title="Each model at its best block and dose",
                    columns=(*CONDITION_COLUMNS, *BEST_COLUMNS),
                    rows=tuple(rows),
                    notes=(
                        "Coherent refusal is of the prompts that the unsteered model answers; the best condition was "
                        "chosen on one half of them, and “held out” is its rate on the other half: the one to cite.",
                    ),
                ),
                comparisons,
            ),
            figures=(outcomes_figure("models", "Outcomes at each model's best block and dose", rows),),
            conclusions=(_conclude(comparisons),) if len(results) > 1 else (),
            cautions=cautions_of(results),
        )


BEST_COLUMNS = (
    Column(key="held_out", title="Held out", kind=ColumnKind.RATE),
    Column(key="unsteered", title="Unsteered", kind=ColumnKind.RATE),
    Column(key="random", title="Strongest random", kind=ColumnKind.RATE),
    Column(key="verdict", title="Verdict"),
)


def best_rows(results: dict[str, GaugeResult]) -> list[dict[str, Cell]]:
    """A row a model: its best condition, its control and its verdict."""
    rows: list[dict[str, Cell]] = []
    for name, result in results.items():
        best = best_of(result)
        row: dict[str, Cell] = {"model": name} if best is None else condition_row(name, best)
        if result.best is not None:
            row["held_out"] = result.best.reported_on
        if result.random_control is not None:
            control = result.random_control
            row["random"] = next(
                one.effect for one in control.directions if one.seed == control.strongest_seed
            )
        rows.append({**row, "unsteered": result.unsteered.refusal, "verdict": result.verdict.verdict.value})
    return rows


def compared_in_pairs(results: dict[str, GaugeResult]) -> StudyTable:
    """Every two models' best conditions, paired by prompt."""
    measured = {name: (result, best.id) for name, result in results.items() if (best := best_of(result))}
    pairs = list(combinations(measured, 2))
    compared = [paired(measured[first], measured[second]) for first, second in pairs]
    adjusted = adjust_holm([one.p_value for one in compared])
    rows: list[dict[str, Cell]] = []
    for (first, second), one, p_adjusted in zip(pairs, compared, adjusted, strict=True):
        rates = [_rate_on(results[name], one.n) for name in (first, second)]
        rows.append(
            {
                "first": first,
                "second": second,
                "prompts": one.n,
                "difference": Estimate(value=one.difference, low=one.low, high=one.high),
                "h": None if None in rates else cohens_h(*(rate or 0.0 for rate in rates)),
                "p": one.p_value,
                "p_adjusted": p_adjusted,
            }
        )
    return StudyTable(
        name="pairs",
        title="Best conditions compared in pairs, on the same prompts",
        columns=(
            Column(key="first", title="Model"),
            Column(key="second", title="against"),
            Column(key="prompts", title="Prompts", kind=ColumnKind.NUMBER),
            Column(key="difference", title="Difference, points", kind=ColumnKind.POINTS),
            Column(key="h", title="Cohen's h", kind=ColumnKind.NUMBER),
            Column(key="p", title="p, exact McNemar", kind=ColumnKind.P_VALUE),
            Column(key="p_adjusted", title="p, Holm", kind=ColumnKind.P_VALUE),
        ),
        rows=tuple(rows),
        notes=("Both conditions were chosen on half of these prompts, so both rates are optimistic.",),
    )


def _rate_on(result: GaugeResult, prompts: int) -> float | None:
    best = best_of(result)
    return best.effect.rate if best is not None and prompts else None


def outcomes_figure(name: str, title: str, rows: list[dict[str, Cell]]) -> StudyFigure:
    """Coherent refusal and garbling of each row, by its model."""

    def series(key: str) -> Series:
        rated = [(str(row["model"]), row[key]) for row in rows if isinstance(row.get(key), Rate)]
        found = points([rate_point(model, rate) for model, rate in rated if isinstance(rate, Rate)])
        names = {"refusal": "coherent refusal", "garbled": "garbled"}
        return Series(name=names[key], points=found, measure="refusal" if key == "refusal" else "garbled")

    return StudyFigure(
        name=name,
        title=title,
        x_label="model",
        y_label="share of prompts",
        series=(series("refusal"), series("garbled")),
    )


def cautions_of(results: dict[str, GaugeResult]) -> tuple[str, ...]:
    """What the gauges say could make them wrong, each with the models that it concerns."""
    said: dict[str, list[str]] = {}
    for name, result in results.items():
        for caution in result.verdict.cautions:
            said.setdefault(caution, []).append(name)
    return tuple(f"{', '.join(names)}: {caution}" for caution, names in said.items())


def _conclude(table: StudyTable) -> Conclusion:
    differ = [row for row in table.rows if isinstance(row["p_adjusted"], float) and row["p_adjusted"] < 0.05]
    near = [
        row
        for row in table.rows
        if isinstance(row["difference"], Estimate)
        and row["difference"].low is not None
        and row["difference"].high is not None
        and max(-row["difference"].low, row["difference"].high) <= _EQUIVALENT
    ]
    if differ:
        outcome = Outcome.SUPPORTED
    else:
        outcome = Outcome.NOT_SUPPORTED if len(near) == len(table.rows) else Outcome.UNDECIDED
    return Conclusion(
        claim="Models of different families differ in how steerable they are, each at its best block and dose.",
        outcome=outcome,
        rule=_RULE,
        evidence=f"{len(differ)} of {len(table.rows)} pairs of models differ.",
    )
