"""From turns to the table's lines: rates, ratios and shares of equal outputs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from benchmarks.sweep.grid import NEW_TOKENS, Grid, Row
from benchmarks.sweep.rounds import Entry, Measured, Turn
from benchmarks.sweep.ways import PRODUCTS, STUDY, TORCH, UNSTEERED, Size

REFERENCE = "float32"


class Spread(NamedTuple):
    """The median over rounds, and the least and the most."""

    median: float
    least: float
    most: float


class Share(NamedTuple):
    """How many of how many rows."""

    count: int
    of: int


@dataclass(frozen=True)
class Line:
    """One way in one precision.

    Attributes:
        entry: which.
        rows: of a turn.
        decoding: tokens a second once prompts are read.
        sweeping: tokens a second with the prompts' share, at the grid's length: extrapolated.
        hours: of the whole grid: extrapolated.
        ratio: of sweeping to the study's way in the same precision, in pairs of a round.
        ratio_to_reference: the same, to the study's way in float32.
        cost: an engine's time of a decoded token over its time unsteered, less 1.
        of_products: its decoding over that of the products alone.
        tokens: outputs that are the reference's, token for token: the torch engine's in float32.
        labels: outputs with the reference's label.
    """

    entry: Entry
    rows: int
    decoding: Spread
    sweeping: Spread | None
    hours: float | None
    ratio: Spread | None
    ratio_to_reference: Spread | None
    cost: Spread | None
    of_products: Spread | None
    tokens: Share | None
    labels: Share | None


def decoding_rate(turn: Turn, lengths: tuple[int, int]) -> float:
    """Tokens a second between the short and the long run."""
    return len(turn.rows) * (lengths[1] - lengths[0]) / (turn.seconds[1] - turn.seconds[0])


def sweeping_rate(turn: Turn, lengths: tuple[int, int]) -> float:
    """Tokens a second of outputs as long as the grid's: the short run's time, and decoding for the rest."""
    rest = len(turn.rows) * (NEW_TOKENS - lengths[0]) / decoding_rate(turn, lengths)
    return len(turn.rows) * NEW_TOKENS / (turn.seconds[0] + rest)


def summarize(
    measured: Measured, grid: Grid, lengths: tuple[int, int], label: Callable[[Sequence[int]], str]
) -> list[Line]:
    """A line for each entry that had a turn.

    Args:
        measured: the turns.
        grid: what was swept.
        lengths: of the short and the long run.
        label: of an output's tokens.
    """
    turns: dict[Entry, dict[int, Turn]] = {}
    for turn in measured.turns:
        turns.setdefault(turn.entry, {})[turn.round] = turn
    return [_line(entry, turns, grid, lengths, label) for entry in turns]


def _line(
    entry: Entry,
    turns: Mapping[Entry, Mapping[int, Turn]],
    grid: Grid,
    lengths: tuple[int, int],
    label: Callable[[Sequence[int]], str],
) -> Line:
    own = turns[entry]

    def to(name: str, precision: str, rate: Callable[[Turn, tuple[int, int]], float]) -> Spread | None:
        """The ratio to another's rate, round by round."""
        other = next(
            (of for one, of in turns.items() if (one.way.name, one.precision) == (name, precision)), {}
        )
        ratios = [rate(own[at], lengths) / rate(other[at], lengths) for at in own.keys() & other.keys()]
        return _spread(ratios) if ratios else None

    steered = entry.way.steers
    sweeping = _spread([sweeping_rate(turn, lengths) for turn in own.values()])
    unsteered = (
        to(UNSTEERED[entry.way.name], entry.precision, decoding_rate) if entry.way.name in UNSTEERED else None
    )
    reference = _reference(turns) if steered else {}
    shared = (
        [
            (made, reference[turn.round, row])
            for turn in own.values()
            for row, made in zip(turn.rows, turn.made, strict=True)
            if (turn.round, row) in reference
        ]
        if steered
        else []
    )
    products = entry.way.name == PRODUCTS
    at_their_batch = not products and entry.way.size is Size.GRID
    return Line(
        entry=entry,
        rows=len(next(iter(own.values())).rows),
        decoding=_spread([decoding_rate(turn, lengths) for turn in own.values()]),
        sweeping=None if products else sweeping,
        hours=None if products else grid.outputs * NEW_TOKENS / sweeping.median / 3600,
        ratio=None if products else to(STUDY, entry.precision, sweeping_rate),
        ratio_to_reference=None if products else to(STUDY, REFERENCE, sweeping_rate),
        cost=None
        if unsteered is None
        else Spread(1 / unsteered.median - 1, 1 / unsteered.most - 1, 1 / unsteered.least - 1),
        of_products=to(PRODUCTS, entry.precision, decoding_rate) if at_their_batch else None,
        tokens=Share(sum(made == expected for made, expected in shared), len(shared)) if shared else None,
        labels=Share(sum(label(made) == label(expected) for made, expected in shared), len(shared))
        if shared
        else None,
    )


def _reference(turns: Mapping[Entry, Mapping[int, Turn]]) -> dict[tuple[int, Row], list[int]]:
    """The torch engine's outputs in float32, by round and row."""
    return {
        (turn.round, row): made
        for entry, of_entry in turns.items()
        if (entry.way.name, entry.precision) == (TORCH, REFERENCE)
        for turn in of_entry.values()
        for row, made in zip(turn.rows, turn.made, strict=True)
    }


def _spread(values: Sequence[float]) -> Spread:
    return Spread(median(values), min(values), max(values))
