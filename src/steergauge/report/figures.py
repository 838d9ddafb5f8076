"""The page's figures as geometry: what goes where. `page.html.jinja` and `chart.svg.jinja` draw them.

Line charts are small inline SVG and heat maps are tables of buttons, rather than plotly: plotly.js inlined
makes a page of 5 MB, and the cells of its heat maps cannot be reached with a keyboard or read to the blind.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from steergauge.report.words import dose_heading, dose_words, interval, number, percent, place
from steergauge.studies.measurements import ConditionResult, Rate
from steergauge.studies.result import DirectionRecord, GaugeResult

WIDTH, HEIGHT = 360, 216
LEFT, RIGHT, TOP, BOTTOM = 40, 348, 12, 176
# The least distance between labelled doses, as a share of the axis, below which they are spaced equally.
CROWDED = 0.08


class Tick(NamedTuple):
    """A labelled place on an axis."""

    at: float
    text: str


class Point(NamedTuple):
    """A value, its interval where it has one, and what a pointer over it says."""

    x: float
    y: float
    low: float | None
    high: float | None
    text: str


class Line(NamedTuple):
    """A named run of points; its role chooses its colour. A named band fills their intervals, else they are bars."""

    name: str
    role: str
    points: list[Point]
    band: str = ""


@dataclass(frozen=True)
class Chart:
    """A line chart in the coordinates of its view box."""

    title: str
    x_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    band: tuple[float, float] | None = None
    band_name: str = ""
    threshold: float | None = None
    threshold_name: str = ""
    marker: float | None = None
    marker_name: str = ""


class Cell(NamedTuple):
    """A condition in a heat map."""

    condition: str
    text: str
    interval: str
    level: int | None
    best: bool
    described: str


class Row(NamedTuple):
    """A heat map's conditions at one block; None where nothing was measured."""

    block: int
    depth: str
    cells: list[Cell | None]


@dataclass(frozen=True)
class HeatMap:
    """One measure over depth × dose, for one method."""

    method: str
    measure: Literal["refusal", "garbled"]
    title: str
    doses: list[str]
    dose_heading: str
    rows: list[Row]


def heat_maps(result: GaugeResult) -> list[HeatMap]:
    """Coherent refusal and garbling, side by side, for each method in order of appearance."""
    maps = []
    for method in dict.fromkeys(condition.method for condition in result.conditions):
        conditions = [condition for condition in result.conditions if condition.method == method]
        maps.append(_heat_map(result, conditions, "refusal", "Coherent refusal"))
        maps.append(_heat_map(result, conditions, "garbled", "Garbled"))
    return maps


def _heat_map(
    result: GaugeResult,
    conditions: Sequence[ConditionResult],
    measure: Literal["refusal", "garbled"],
    title: str,
) -> HeatMap:
    doses = sorted({condition.dose.value for condition in conditions})
    at = {(condition.block, condition.dose.value): condition for condition in conditions}
    best = result.best.condition if result.best else None
    rows = []
    for block in sorted({condition.block for condition in conditions}):
        cells = [
            _cell(condition, getattr(condition, measure), title, best) if condition else None
            for condition in (at.get((block, dose)) for dose in doses)
        ]
        rows.append(Row(block, percent(block / result.model.blocks), cells))
    return HeatMap(
        method=conditions[0].method,
        measure=measure,
        title=title,
        doses=[number(dose) for dose in doses],
        dose_heading=dose_heading(result.protocol, conditions[0].dose.unit),
        rows=rows,
    )


def _cell(condition: ConditionResult, rate: Rate, title: str, best: str | None) -> Cell:
    dose = dose_words(condition.dose.value, condition.dose.unit)
    described = (
        f"{place(condition.block, condition.depth).capitalize()}, {dose}. {title}: {percent(rate.rate)}, "
        f"{rate.count} of {rate.n}, 95% interval {interval(rate)}%. Show its outputs."
    )
    level = None if rate.rate is None else round(10 * rate.rate)
    text = percent(rate.rate).removesuffix("%")
    return Cell(condition.id, text, interval(rate), level, condition.id == best, described)


def rates_by_dose(result: GaugeResult) -> Chart | None:
    """Coherent refusal and garbling with their intervals over the doses at the best block."""
    best = result.best
    if best is None:
        return None
    conditions = sorted(
        (c for c in result.conditions if (c.method, c.block) == (best.method, best.block)),
        key=lambda condition: condition.dose.value,
    )
    across = _across([condition.dose.value for condition in conditions])
    lines = []
    for name, role, shift in (("coherent refusal", "refusal", -3.0), ("garbled", "garbled", 3.0)):
        points = []
        for condition, x in zip(conditions, across, strict=True):
            rate: Rate = condition.effect if role == "refusal" else condition.garbled
            if rate.rate is not None:
                dose = dose_words(condition.dose.value, condition.dose.unit)
                said = f"{dose}: {name} {rate.count} of {rate.n} [{interval(rate)}%]"
                points.append(_point(x + shift, _up(rate.rate), _up(rate.low), _up(rate.high), said))
        lines.append(Line(name, role, points))
    return Chart(
        title=f"Rates by dose at {place(best.block, best.depth)}, {best.method}",
        x_label=f"dose, {best.dose.unit}",
        x_ticks=[Tick(round(x, 1), number(c.dose.value)) for c, x in zip(conditions, across, strict=True)],
        y_ticks=[Tick(round(_up(share / 4), 1), f"{25 * share}%") for share in range(5)],
        lines=lines,
        band=_band(result, conditions, across),
        band_name="window",
        threshold=round(_up(result.protocol.threshold), 1),
        threshold_name=f"threshold {percent(result.protocol.threshold)}",
    )


def _band(
    result: GaugeResult, conditions: Sequence[ConditionResult], across: Sequence[float]
) -> tuple[float, float] | None:
    window = result.window
    if window is None or window.low is None or window.high is None:
        return None
    inside = [x for c, x in zip(conditions, across, strict=True) if window.low <= c.dose.value <= window.high]
    return (round(inside[0] - 9, 1), round(inside[-1] - inside[0] + 18, 1)) if inside else None


def norms_by_depth(result: GaugeResult, direction: DirectionRecord) -> Chart:
    """The difference's length and the residual norm at each block, on a logarithmic scale."""
    series = (
        ("‖Δ‖, distance of the class means along it", "difference", direction.raw_norms),
        ("R, median residual norm", "residual", direction.residual_norms),
    )
    logs = [math.log10(norm) for _, _, norms in series for norm in norms if norm > 0] or [0.0]
    low, high = min(logs) - 0.05, max(logs) + 0.05
    blocks = result.model.blocks

    def up(norm: float) -> float:
        return BOTTOM - (math.log10(norm) - low) / (high - low) * (BOTTOM - TOP)

    lines = [
        Line(
            name,
            role,
            [
                _point(_right(block / blocks), up(norm), None, None, f"block {block}: {number(norm)}")
                for block, norm in enumerate(norms)
                if norm > 0
            ],
        )
        for name, role, norms in series
    ]
    marked = result.best if result.best and result.best.method == direction.method else None
    return Chart(
        title=f"Norms by depth, {direction.method}",
        x_label="depth, block / number of blocks",
        x_ticks=[Tick(round(_right(quarter / 4), 1), f"{25 * quarter}%") for quarter in range(5)],
        y_ticks=[Tick(round(up(value), 1), number(value)) for value in _log_ticks(low, high)],
        lines=lines,
        marker=round(_right(marked.block / blocks), 1) if marked else None,
        marker_name=f"block {marked.block}" if marked else "",
    )


def interval_bar(rate: Rate) -> tuple[float, float, float]:
    """A rate's interval on a track from 0 to 100: where it begins, its length, and the rate."""
    return round(100 * rate.low, 1), round(100 * (rate.high - rate.low), 1), round(100 * (rate.rate or 0), 1)


def _across(doses: Sequence[float]) -> list[float]:
    """Places doses to scale, or in equal steps where some are too near each other to label."""
    margin = 0.05
    if len(doses) < 2:
        return [_right(0.5) for _ in doses]
    span = doses[-1] - doses[0]
    shares = [(dose - doses[0]) / span for dose in doses]
    if min(after - before for before, after in pairwise(shares)) < CROWDED:
        shares = [step / (len(doses) - 1) for step in range(len(doses))]
    return [_right(margin + (1 - 2 * margin) * share) for share in shares]


def _log_ticks(low: float, high: float) -> list[float]:
    steps = (1, 2, 5) if high - low < 2 else (1,)
    exponents = range(math.floor(low), math.ceil(high) + 1)
    return [
        step * 10.0**exponent
        for exponent in exponents
        for step in steps
        if low <= math.log10(step * 10.0**exponent) <= high
    ]


def _point(x: float, y: float, low: float | None, high: float | None, text: str) -> Point:
    return Point(round(x, 1), round(y, 1), _rounded(low), _rounded(high), text)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _right(share: float) -> float:
    return LEFT + share * (RIGHT - LEFT)


def _up(share: float) -> float:
    return BOTTOM - share * (BOTTOM - TOP)
