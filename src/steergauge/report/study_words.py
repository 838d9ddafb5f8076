"""A study's cells as words, the same in the terminal, on the page and in LaTeX."""

from steergauge.report.words import NOTHING, cosine, number, p_number, percent
from steergauge.studies.measurements import Rate
from steergauge.studies.study_result import Cell, ColumnKind, Estimate, FigurePoint, StudyFigure


def cell_words(cell: Cell, kind: ColumnKind, between: str = " ") -> str:
    """A cell as it is read.

    Args:
        cell: a number, a text, or a number with its interval.
        kind: how its numbers are written.
        between: stands before the interval's bracket.
    """
    if isinstance(cell, Rate):
        shown = percent(cell.rate), f"{100 * cell.low:.0f}–{100 * cell.high:.0f}"
    elif isinstance(cell, Estimate) and cell.value is not None:
        to = " to " if kind is ColumnKind.POINTS else "–"
        ends = [_value(end, kind) for end in (cell.low, cell.high) if end is not None]
        shown = _value(cell.value, kind), to.join(ends)
    else:
        shown = _plain(cell, kind), ""
    value, interval = shown
    return f"{value}{between}[{interval}]" if interval and value != NOTHING else value


def _plain(cell: Cell, kind: ColumnKind) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return _value(float(cell), kind) if isinstance(cell, int | float) else NOTHING


def _value(value: float, kind: ColumnKind) -> str:
    if kind is ColumnKind.POINTS:
        return f"{100 * value:+.0f}".replace("-", "−")
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


def point_words(figure: StudyFigure, point: FigurePoint) -> str:
    """A point with its interval."""
    where = point.x if isinstance(point.x, str) else number(point.x)
    interval = ""
    if point.low is not None and point.high is not None:
        interval = f" [{value_words(figure, point.low)} to {value_words(figure, point.high)}]"
    return f"{where}: {value_words(figure, point.y)}{interval}"
