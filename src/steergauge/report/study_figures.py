"""A study's figures over a scale, as geometry for `chart.svg.jinja`; over names they are `study_tracks.py`."""

import math
from collections.abc import Iterable

from steergauge.report.figures import BOTTOM, LEFT, RIGHT, TOP, Chart, Line, Point, Tick
from steergauge.report.study_words import point_words, value_words, x_words
from steergauge.studies.study_result import FigurePoint, Series, StudyFigure

_MARGIN = 0.06  # of the axis, left free on each side of the points
_APART = 2.4  # between series at one place, in units of the view box
_LETTER = 5.5  # the width of a character in them, at most
_COLOURS = 6


def has_scale(figure: StudyFigure) -> bool:
    """Whether its x axis has a scale, and not names."""
    return all(not isinstance(point.x, str) for series in figure.series for point in series.points)


def study_chart(figure: StudyFigure) -> Chart:
    """A figure over a scale."""
    low, high = value_range(figure)
    places = _places(figure)

    def up(value: float) -> float:
        return round(BOTTOM - (value - low) / (high - low) * (BOTTOM - TOP), 1)

    lines = []
    for index, series in enumerate(figure.series):
        shift = _APART * (index - (len(figure.series) - 1) / 2)
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
        lines.append(Line(series.name, role(series, index), drawn))
    return Chart(
        title=figure.title,
        x_label=figure.x_label,
        x_ticks=_ticks(figure, places),
        y_ticks=[Tick(up(value), value_words(figure, value)) for value in steps(low, high)],
        lines=lines,
        threshold=None if figure.threshold is None else up(figure.threshold),
        threshold_name=threshold_name(figure),
    )


def value_range(figure: StudyFigure) -> tuple[float, float]:
    """What the axis of values spans: from 0 to 1 for shares, else round numbers around all values and 0."""
    if figure.share:
        return 0.0, 1.0
    values = [0.0] if figure.threshold is None else [0.0, figure.threshold]
    values += [
        value for point in _points(figure) for value in (point.y, point.low, point.high) if value is not None
    ]
    low, high = min(values), max(values)
    step = _step(low, high)
    return math.floor(low / step) * step, max(math.ceil(high / step) * step, 0.0 if low < 0 else step)


def _points(figure: StudyFigure) -> Iterable[FigurePoint]:
    return (point for series in figure.series for point in series.points)


def role(series: Series, index: int) -> str:
    """The class that colours a series; past the last colour they come again, dashed."""
    if series.measure:
        return series.measure
    return f"series-{index % _COLOURS}" + (" again" if index >= _COLOURS else "")


def threshold_name(figure: StudyFigure) -> str:
    """What the key calls the threshold; empty where there is none."""
    return "" if figure.threshold is None else f"at {value_words(figure, figure.threshold)}"


def _step(low: float, high: float) -> float:
    """About a quarter of the range, as 1, 2 or 5 times a power of ten."""
    rough = max(high - low, 1e-9) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)


def steps(low: float, high: float) -> list[float]:
    """The values of an axis that have a label."""
    if (low, high) == (0.0, 1.0):
        return [0.0, 0.25, 0.5, 0.75, 1.0]
    step = _step(low, high)
    return [round(low + index * step, 10) for index in range(round((high - low) / step) + 1)]


def _places(figure: StudyFigure) -> dict[float | str, float]:
    """Where each x stands."""
    scaled = {point.x: _scaled(figure, point.x) for point in _points(figure)}
    low = min(scaled.values(), default=0.0)
    span = max(scaled.values(), default=1.0) - low
    shares = {x: (one - low) / span if span else 0.5 for x, one in scaled.items()}
    return {x: LEFT + (_MARGIN + (1 - 2 * _MARGIN) * share) * (RIGHT - LEFT) for x, share in shares.items()}


def _scaled(figure: StudyFigure, x: float | str) -> float:
    assert not isinstance(x, str)
    return math.log10(x) if figure.logarithmic else x


def _ticks(figure: StudyFigure, places: dict[float | str, float]) -> list[Tick]:
    """A label at every x that has room beside the one before."""
    ticks: list[Tick] = []
    for x, at in sorted(places.items(), key=lambda place: place[1]):
        text = x_words(figure, x)
        if not ticks or at - ticks[-1].at >= _LETTER * (len(text) + len(ticks[-1].text)) / 2 + 4:
            ticks.append(Tick(round(at, 1), text))
    return ticks
