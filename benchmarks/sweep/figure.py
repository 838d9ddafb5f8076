"""The figure: a bar a way and precision, as long as its ratio to the study's way in float32."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.sweep.summary import Line
from jinja2 import Environment, FileSystemLoader, StrictUndefined

WIDTH, LEFT, RIGHT, TOP, STEP = 720, 210, 640, 40, 22


class Bar(NamedTuple):
    """A bar in the figure's coordinates, with its range over rounds."""

    name: str
    precision: str
    y: int
    length: float
    low: float
    high: float
    text: str


def draw(lines: Sequence[Line], title: str) -> str:
    """SVG, readable on a light page and on a dark one; empty of bars if nothing has a ratio."""
    shown = [(line, line.ratio_to_reference) for line in lines if line.ratio_to_reference is not None]
    scale = (RIGHT - LEFT) / max([ratio.most for _, ratio in shown], default=1.0)
    bars = [
        Bar(
            line.entry.way.name,
            line.entry.precision,
            TOP + STEP * place,
            round(scale * ratio.median, 1),
            round(LEFT + scale * ratio.least, 1),
            round(LEFT + scale * ratio.most, 1),
            f"{ratio.median:.3g}×",
        )
        for place, (line, ratio) in enumerate(shown)
    ]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("figure.svg.jinja").render(
        title=title, bars=bars, width=WIDTH, height=TOP + STEP * len(bars) + 30, left=LEFT, step=STEP
    )
