"""The figure of a parity study as geometry: each tool's and mistake's cosine beside what it does."""

from collections.abc import Sequence
from typing import NamedTuple

from steergauge.report.figures import Tick
from steergauge.report.parity_words import cosine
from steergauge.report.words import percent
from steergauge.studies.fault_rule import LEAST_COSINE
from steergauge.studies.parity_result import FaultAtBlock, ParityResult, Steered, Visibility

WIDTH = 760
LABEL_END, BLOCK_END = 178, 206
COSINE_LEFT, COSINE_RIGHT = 222, 440
RATE_LEFT, RATE_RIGHT = 478, 740
TOP, LINE, GAP = 26, 12, 10

ROLE = {
    Visibility.NO_DIRECTION: "cosine",
    Visibility.COSINE: "cosine",
    Visibility.BEHAVIOUR: "behaviour",
    Visibility.UNDECIDED: "undecided",
    Visibility.NOTHING_TO_LOSE: "harmless",
    Visibility.HARMLESS: "harmless",
}


class Mark(NamedTuple):
    """One source at one block.

    Attributes:
        cosine: where its cosine stands; None where its direction is the right one, or there is none.
        rate: where its refusal rate stands; None where there is no direction.
        right: where the right direction's stands.
        gap: whether the two make a gap like the study's.
    """

    y: float
    block: str
    role: str
    cosine: float | None
    rate: float | None
    right: float
    gap: bool
    text: str


class Row(NamedTuple):
    """A tool or mistake, with a mark a block."""

    name: str
    y: float
    marks: list[Mark]


class DotPlot(NamedTuple):
    """The figure in the coordinates of its view box.

    Attributes:
        least_cosine: where the line stands below which a mistake is visible in the cosine.
        unsteered: where the unsteered model's refusal rate stands.
    """

    height: float
    rows: list[Row]
    cosine_ticks: list[Tick]
    rate_ticks: list[Tick]
    least_cosine: float
    unsteered: float


def dot_plot(result: ParityResult) -> DotPlot:
    """Tools first, then mistakes; those that are impossible or raise have no row."""
    right = {one.block: one.outputs.refusal.rate or 0.0 for one in result.reference}
    rows, y = [], float(TOP + GAP)
    for name, at in sources(result):
        if at:
            marks = [_mark(one, right[one.block], y + LINE * index) for index, one in enumerate(at)]
            rows.append(Row(name, y, marks))
            y += LINE * len(at) + GAP
    return DotPlot(
        height=y,
        rows=rows,
        cosine_ticks=[
            Tick(_cosine_x(value), f"{value:g}".replace("-", "−")) for value in (-1, -0.5, 0, 0.5, 1)
        ],
        rate_ticks=[Tick(_rate_x(share / 4), f"{25 * share}%") for share in range(5)],
        least_cosine=_cosine_x(LEAST_COSINE),
        unsteered=_rate_x(result.unsteered.refusal.rate or 0.0),
    )


def sources(result: ParityResult) -> list[tuple[str, Sequence[Steered]]]:
    """Every tool and mistake with what it does at each block, tools first."""
    return [
        *((one.name, one.at) for one in result.backends),
        *((fault.name, fault.at) for fault in result.faults),
    ]


def _mark(one: Steered, right: float, y: float) -> Mark:
    rate = one.outputs.refusal.rate if one.outputs else None
    there = f"cosine {cosine(one.cosine)}, " if one.cosine is not None else ""
    role, gap = "tool", False
    if isinstance(one, FaultAtBlock):
        role, gap = ROLE[one.visibility], one.study_gap is True
    return Mark(
        y=y,
        block=str(one.block),
        role=role,
        cosine=None if one.cosine is None else _cosine_x(one.cosine),
        rate=None if rate is None else _rate_x(rate),
        right=_rate_x(right),
        gap=gap,
        text=f"block {one.block}: {there}refusal {percent(rate)}, right direction {percent(right)}",
    )


def _cosine_x(value: float) -> float:
    return round(COSINE_LEFT + (value + 1) / 2 * (COSINE_RIGHT - COSINE_LEFT), 1)


def _rate_x(share: float) -> float:
    return round(RATE_LEFT + share * (RATE_RIGHT - RATE_LEFT), 1)
