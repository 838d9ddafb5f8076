"""A study's figures over names, as geometry for `tracks.svg.jinja`: each name over its lines, so that it may be long."""

from dataclasses import dataclass
from typing import NamedTuple

from steergauge.report.figures import Tick
from steergauge.report.study_figures import role, steps, threshold_name, value_range
from steergauge.report.study_words import point_words, value_words
from steergauge.studies.study_result import StudyFigure

WIDTH = 360
LEFT, RIGHT, VALUE_END, TOP = 6, 316, 354, 8
_NAME, _TRACK, _GAP = 14, 12, 8  # heights


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
    """Values by name in the coordinates of a view box; the key has the role and name of each series."""

    title: str
    x_label: str
    bottom: float
    ticks: list[Tick]
    rows: list[NamedTracks]
    key: list[tuple[str, str]]
    threshold: float | None
    threshold_name: str


def study_tracks(figure: StudyFigure) -> Tracks:
    """A figure over names."""
    low, high = value_range(figure)

    def across(value: float) -> float:
        return round(LEFT + (value - low) / (high - low) * (RIGHT - LEFT), 1)

    rows, y = [], float(TOP)
    for name in dict.fromkeys(str(point.x) for series in figure.series for point in series.points):
        here = [
            (index, series.name, point)
            for index, series in enumerate(figure.series)
            for point in series.points
            if str(point.x) == name
        ]
        points = [
            TrackPoint(
                y=y + _NAME + at * _TRACK,
                x=across(point.y),
                low=None if point.low is None else across(point.low),
                high=None if point.high is None else across(point.high),
                role=role(figure.series[index], index),
                value=value_words(figure, point.y),
                text=f"{series}, {point_words(figure, point)}",
            )
            for at, (index, series, point) in enumerate(here)
        ]
        rows.append(NamedTracks(name, y, points))
        y += _NAME + len(here) * _TRACK + _GAP
    return Tracks(
        title=figure.title,
        x_label=figure.y_label,
        bottom=y,
        ticks=[Tick(across(value), value_words(figure, value)) for value in steps(low, high)],
        rows=rows,
        key=[(role(series, index), series.name) for index, series in enumerate(figure.series)],
        threshold=None if figure.threshold is None else across(figure.threshold),
        threshold_name=threshold_name(figure),
    )
