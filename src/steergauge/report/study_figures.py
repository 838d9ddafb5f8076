"""A study's figures as geometry: over a scale for `chart.svg.jinja`, over names for `tracks.svg.jinja`."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from steergauge.report.figures import BOTTOM, LEFT, RIGHT, TOP, Chart, Line, Point, Tick
from steergauge.report.study_words import point_words, value_words, x_words
from steergauge.studies.study_result import FigurePoint, Series, StudyFigure

_MARGIN = 0.06  # of the axis, left free on each side of the points
_APART = 2.4  # between series at one place, in units of the view box
_LETTER = 5.5  # the width of a character in them, at most
_COLOURS = 6

TRACK_LEFT, TRACK_RIGHT, VALUE_END = 6, 316, 354
TRACK_TOP = 8
_NAME, _TRACK, _GAP = 14, 12, 8


class TrackPoint(NamedTuple):
    """A value on a line of its own, its interval where it has one, and what a pointer over it says."""

    y: float
    x: float
    low: float | None
    high: float | None
    role: str
    value: str
    text: str


class NamedTracks(NamedTuple):
    """A name over its lines, one a series."""

    name: str
    y: float
    points: list[TrackPoint]


@dataclass(frozen=True)
class Tracks:
    """Values by name in the coordinates of a view box: names may be long, as each stands over its own lines."""

    title: str
    x_label: str
    bottom: float
    ticks: list[Tick]
    rows: list[NamedTracks]
    key: list[tuple[str, str]]
    threshold: float | None
    threshold_name: str


def has_scale(figure: StudyFigure) -> bool:
    """Whether its x axis has a scale, and not names."""
    return all(not isinstance(point.x, str) for series in figure.series for point in series.points)


def study_tracks(figure: StudyFigure) -> Tracks:
    """A figure over names."""
    low, high = value_range(figure)

    def across(value: float) -> float:
        return round(TRACK_LEFT + (value - low) / (high - low) * (TRACK_RIGHT - TRACK_LEFT), 1)

    rows, y = [], float(TRACK_TOP)
    for name in dict.fromkeys(str(point.x) for series in figure.series for point in series.points):
        named, y = y, y + _NAME
        points = []
        for index, series in enumerate(figure.series):
            for point in series.points:
                if str(point.x) == name:
                    low_end, high_end = (
                        None if end is None else across(end) for end in (point.low, point.high)
                    )
                    said = f"{series.name}, {point_words(figure, point)}"
                    value = value_words(figure, point.y)
                    role = _role(series, index)
                    points.append(TrackPoint(y, across(point.y), low_end, high_end, role, value, said))
                    y += _TRACK
        rows.append(NamedTracks(name, named, points))
        y += _GAP
    return Tracks(
        title=figure.title,
        x_label=figure.y_label,
        bottom=y,
        ticks=[Tick(across(value), value_words(figure, value)) for value in _steps(low, high)],
        rows=rows,
        key=[(_role(series, index), series.name) for index, series in enumerate(figure.series)],
        threshold=None if figure.threshold is None else across(figure.threshold),
        threshold_name=_threshold_name(figure),
    )


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
        lines.append(Line(series.name, _role(series, index), drawn))
    return Chart(
        title=figure.title,
        x_label=figure.x_label,
        x_ticks=_ticks(figure, places),
        y_ticks=[Tick(up(value), value_words(figure, value)) for value in _steps(low, high)],
        lines=lines,
        threshold=None if figure.threshold is None else up(figure.threshold),
        threshold_name=_threshold_name(figure),
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


def _role(series: Series, index: int) -> str:
    """The class that colours a series; past the last colour they come again, dashed."""
    if series.measure:
        return series.measure
    return f"series-{index % _COLOURS}" + (" again" if index >= _COLOURS else "")


def _threshold_name(figure: StudyFigure) -> str:
    return "" if figure.threshold is None else f"at {value_words(figure, figure.threshold)}"


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
