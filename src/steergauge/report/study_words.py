"""A study's cells as words, the same in the terminal, on the page and in LaTeX."""

from typing import NamedTuple

from steergauge.report.words import NOTHING, cosine, number, p_number, percent
from steergauge.report.words import interval as rate_interval
from steergauge.studies.measurements import Rate, points
from steergauge.studies.study_result import Cell, ColumnKind, Estimate, FigurePoint, StudyFigure


class CellWords(NamedTuple):
    """A cell as it is read: its value, and its interval where it has one."""

    value: str
    interval: str


def cell_words(cell: Cell, kind: ColumnKind, between: str = " ") -> str:
    """A cell as it is read.

    Args:
        cell: a number, a text, or a number with its interval.
        kind: how its numbers are written.
        between: stands before the interval's bracket.
    """
    value, interval = cell_parts(cell, kind)
    return f"{value}{between}{interval}" if interval else value


def cell_parts(cell: Cell, kind: ColumnKind) -> CellWords:
    """A cell's value and its interval, in brackets."""
    if isinstance(cell, Rate):
        if cell.rate is None:
            return CellWords(NOTHING, "")
        return CellWords(percent(cell.rate), f"[{rate_interval(cell)}]")
    if isinstance(cell, Estimate):
        if cell.value is None:
            return CellWords(NOTHING, "")
        value = _value(cell.value, kind)
        if cell.low is None or cell.high is None:
            return CellWords(value, "")
        to = " to " if kind is ColumnKind.POINTS else "–"
        return CellWords(value, f"[{_value(cell.low, kind)}{to}{_value(cell.high, kind)}]")
    return CellWords(_plain(cell, kind), "")


def _plain(cell: bool | float | str | None, kind: ColumnKind) -> str:
    if cell is None:
        return NOTHING
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return _value(float(cell), kind)


def _value(value: float, kind: ColumnKind) -> str:
    if kind is ColumnKind.POINTS:
        return points(value)
    if kind is ColumnKind.SHARE:
        return percent(value)
    if kind is ColumnKind.COSINE:
        return cosine(value)
    if kind is ColumnKind.P_VALUE:
        return p_number(value)
    return number(value).replace("-", "−")


def value_words(figure: StudyFigure, value: float) -> str:
    """A value of a figure's vertical axis."""
    return percent(value) if figure.share else number(value).replace("-", "−")


def x_words(figure: StudyFigure, x: float | str) -> str:
    """A place on a figure's horizontal axis."""
    if isinstance(x, str):
        return x
    return percent(x) if figure.x_share else number(x).replace("-", "−")


def point_words(figure: StudyFigure, point: FigurePoint) -> str:
    """A point with its interval."""
    interval = ""
    if point.low is not None and point.high is not None:
        interval = f" [{value_words(figure, point.low)} to {value_words(figure, point.high)}]"
    return f"{x_words(figure, point.x)}: {value_words(figure, point.y)}{interval}"
