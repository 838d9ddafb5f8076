"""Each model at its best block and dose: a row, and what it says there as a figure."""

from collections.abc import Mapping, Sequence

from steergauge.studies.experiments.conditions import best_of, condition_row, points, rate_point
from steergauge.studies.measurements import Rate
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_result import Cell, Column, ColumnKind, Series, StudyFigure

BEST_COLUMNS = (
    Column(key="held_out", title="Held out", kind=ColumnKind.RATE),
    Column(key="unsteered", title="Unsteered", kind=ColumnKind.RATE),
    Column(key="random", title="Strongest random", kind=ColumnKind.RATE),
    Column(key="verdict", title="Verdict"),
)
BEST_NOTE = (
    "The best condition was chosen on one half of the prompts that the unsteered model answers; “held out” is its rate "
    "of coherent refusal on the other half: the one to cite."
)


def best_row(name: str, result: GaugeResult, gauge: str | None = None) -> dict[str, Cell]:
    """A model's best condition, its controls and its verdict.

    Args:
        name: of the model.
        result: its gauge.
        gauge: the gauge's label, where it is not the model's name.
    """
    best = best_of(result)
    row: dict[str, Cell] = {"model": name} if best is None else condition_row(name, best, gauge)
    if result.best is not None:
        row["held_out"] = result.best.reported_on
    if result.random_control is not None:
        strongest = result.random_control.strongest_seed
        row["random"] = next(one.effect for one in result.random_control.directions if one.seed == strongest)
    return {**row, "unsteered": result.unsteered.refusal, "verdict": result.verdict.verdict.value}


def outcomes_figure(name: str, title: str, rows: Sequence[Mapping[str, Cell]]) -> StudyFigure:
    """Coherent refusal and garbling of each row, by its model."""

    def rates(key: str) -> list[tuple[str, Rate]]:
        return [(str(row["model"]), rate) for row in rows if isinstance(rate := row.get(key), Rate)]

    return StudyFigure(
        name=name,
        title=title,
        x_label="model",
        y_label="share of prompts",
        series=(
            Series(
                name="coherent refusal",
                points=points([rate_point(*one) for one in rates("refusal")]),
                measure="refusal",
            ),
            Series(
                name="garbled",
                points=points([rate_point(*one) for one in rates("garbled")]),
                measure="garbled",
            ),
        ),
    )
