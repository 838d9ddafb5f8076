"""A study's figures as geometry for `chart.svg.jinja`."""

import math
from collections.abc import Sequence

from steergauge.report.figures import BOTTOM, LEFT, RIGHT, TOP, Chart, Line, Point, Tick
from steergauge.report.study_words import point_words, value_words
from steergauge.report.words import number
from steergauge.studies.study_result import FigurePoint, Series, StudyFigure

_MARGIN = 0.06  # of the axis, left free on each side of the points
_APART = 7.0  # between series at the same name, in units of the view box
_COLOURS = 6


def study_chart(figure: StudyFigure) -> Chart:
    """The figure in the coordinates of its view box."""
    low, high = _range(figure)

    def up(value: float) -> float:
        return round(BOTTOM - (value - low) / (high - low) * (BOTTOM - TOP), 1)

    places = _places(figure)
    lines = []
    for index, series in enumerate(figure.series):
        shift = _shift(figure, index)
        drawn = [
            Point(
                round(places[point.x] + shift, 1),
                up(point.y),
                None if point.low is None else up(point.low),
                None if point.high is None else up(point.high),
                f"{series.name}, {point_words(figure, point)}",
            )
            for point in series.points
        ]
        lines.append(Line(series.name, _role(series, index), drawn))
    return Chart(
        title=figure.title,
        x_label=figure.x_label,
        x_ticks=_ticks(figure, places),
        y_ticks=[Tick(up(value), value_words(figure, value)) for value in _steps(low, high)],
        lines=lines,
        threshold=None if figure.threshold is None else up(figure.threshold),
        threshold_name="" if figure.threshold is None else f"at {value_words(figure, figure.threshold)}",
    )


def has_scale(figure: StudyFigure) -> bool:
    """Whether its x axis has a scale, and not names."""
    return all(not isinstance(point.x, str) for series in figure.series for point in series.points)


def _role(series: Series, index: int) -> str:
    return series.measure or f"series-{index % _COLOURS}"


def _shift(figure: StudyFigure, index: int) -> float:
    if has_scale(figure):
        return 0.0
    return _APART * (index - (len(figure.series) - 1) / 2)


def _range(figure: StudyFigure) -> tuple[float, float]:
    if figure.share:
        return 0.0, 1.0
    values = [
        value
        for series in figure.series
        for point in series.points
        for value in (point.y, point.low, point.high)
        if value is not None
    ]
    values += [0.0] if figure.threshold is None else [0.0, figure.threshold]
    low, high = min(values), max(values)
    step = _step(low, high)
    return math.floor(low / step) * step, max(math.ceil(high / step) * step, step)


def _step(low: float, high: float) -> float:
    """About a quarter of the range, as 1, 2 or 5 times a power of ten."""
    rough = max(high - low, 1e-9) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)


def _steps(low: float, high: float) -> list[float]:
    if (low, high) == (0.0, 1.0):
        return [0.0, 0.25, 0.5, 0.75, 1.0]
    step = _step(low, high)
    return [round(low + index * step, 10) for index in range(round((high - low) / step) + 1)]


def _places(figure: StudyFigure) -> dict[float | str, float]:
    """Where each x stands."""
    xs = list(dict.fromkeys(point.x for series in figure.series for point in series.points))
    if not has_scale(figure):
        shares = [(index + 0.5) / len(xs) for index in range(len(xs))]
    else:
        scaled = [_scaled(figure, x) for x in xs]
        low, span = min(scaled, default=0.0), max(scaled, default=1.0) - min(scaled, default=0.0)
        shares = [_MARGIN + (1 - 2 * _MARGIN) * ((one - low) / span if span else 0.5) for one in scaled]
    return {x: LEFT + share * (RIGHT - LEFT) for x, share in zip(xs, shares, strict=True)}


def _scaled(figure: StudyFigure, x: float | str) -> float:
    assert not isinstance(x, str)
    return math.log10(x) if figure.logarithmic else x


def _ticks(figure: StudyFigure, places: dict[float | str, float]) -> list[Tick]:
    """A label at every x that has room beside the one before."""
    ticks: list[Tick] = []
    for x, at in sorted(places.items(), key=lambda place: place[1]):
        text = x if isinstance(x, str) else number(x)
        room = 5.5 * max(len(text), len(ticks[-1].text) if ticks else 0)
        if not ticks or isinstance(x, str) or at - ticks[-1].at >= room:
            ticks.append(Tick(round(at, 1), text))
    return ticks


def track(point: FigurePoint, low: float, high: float, width: int) -> str:
    """A point and its interval as a line of characters, for a terminal."""
    line = ["·"] * width

    def place(value: float) -> int:
        return round((min(max(value, low), high) - low) / ((high - low) or 1.0) * (width - 1))

    if point.low is not None and point.high is not None:
        for index in range(place(point.low), place(point.high) + 1):
            line[index] = "─"
    line[place(point.y)] = "●"
    return "".join(line)


def figure_range(figures: Sequence[FigurePoint], share: bool) -> tuple[float, float]:
    """What a track spans."""
    if share:
        return 0.0, 1.0
    values = [v for point in figures for v in (point.y, point.low, point.high) if v is not None] or [0.0]
    return min(0.0, *values), max(0.0, *values)
