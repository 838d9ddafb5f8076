"""Rates of every condition along an axis, a series a model, and the table behind them."""

from collections.abc import Callable, Mapping
from typing import Literal

from steergauge.studies.experiments.conditions import (
    CONDITION_COLUMNS,
    RATES_NOTE,
    condition_row,
    points,
    rate_point,
)
from steergauge.studies.measurements import ConditionResult
from steergauge.studies.study_result import Series, StudyTable

Conditions = Mapping[str, list[ConditionResult]]
"""By model."""
Measure = Literal["refusal", "garbled"]
TITLES: dict[Measure, str] = {"refusal": "Coherent refusal", "garbled": "Garbled outputs"}


def curves(
    conditions: Conditions, measure: Measure, x: Callable[[ConditionResult], float]
) -> tuple[Series, ...]:
    """A series a model, in the order of x."""
    return tuple(
        Series(
            name=name,
            points=points(
                [
                    rate_point(x(one), one.effect if measure == "refusal" else one.garbled)
                    for one in sorted(of, key=x)
                ]
            ),
        )
        for name, of in conditions.items()
    )


def conditions_table(conditions: Conditions, name: str, title: str) -> StudyTable:
    """Every condition of every model, a row each; the gauges have the models' names."""
    return StudyTable(
        name=name,
        title=title,
        columns=CONDITION_COLUMNS,
        rows=tuple(condition_row(model, one) for model, of in conditions.items() for one in of),
        notes=(RATES_NOTE,),
    )
