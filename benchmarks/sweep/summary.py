"""From turns to the table's lines: rates, ratios and shares of equal outputs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple, TypeAlias

from benchmarks.sweep.grid import NEW_TOKENS, Grid
from benchmarks.sweep.rounds import Entry, Turn
from benchmarks.sweep.ways import PRODUCTS, STUDY, TORCH, UNSTEERED, Size

REFERENCE = "float32"
Key: TypeAlias = tuple[str, str, int]
"""A turn's way, precision and round."""


class Spread(NamedTuple):
    """The median over rounds, and the least and the most."""

    median: float
    least: float
    most: float


class Share(NamedTuple):
    """How many of how many rows."""

    same: int
    of: int


@dataclass(frozen=True)
class Line:
    """One way in one precision; None is what it has not.

    Attributes:
        entry: which.
        rows: of a turn.
        decoding: tokens a second once prompts are read.
        sweeping: tokens a second with the prompts' share, at the grid's length: extrapolated.
        hours: of the whole grid: extrapolated.
        ratio: of sweeping to the study's way in the same precision, in pairs of a round.
        ratio_to_reference: the same, to the study's way in float32.
        cost: an engine's time of the long run over its time unsteered, less 1: a difference of runs would tell less.
        of_products: its decoding over that of the products alone, at the same batch.
        tokens: outputs that are the reference's, token for token: the torch engine's in float32.
        labels: outputs with the reference's label.
    """

    entry: Entry
    rows: int
    decoding: Spread | None
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
    turns: Sequence[Turn], grid: Grid, lengths: tuple[int, int], label: Callable[[Sequence[int]], str]
) -> list[Line]:
    """A line for each entry that had a turn.

    Args:
        turns: all of them. One whose long run took no longer than its short one is too small to tell a rate.
        grid: what was swept.
        lengths: of the short and the long run.
        label: of an output's tokens.
    """
    summary = _Summary(turns, lengths, label)
    return [summary.line(entry, grid) for entry in dict.fromkeys(turn.entry for turn in turns)]


class _Summary:
    """The turns, and what is asked of them: an entry is named by its way and precision."""

    def __init__(
        self, turns: Sequence[Turn], lengths: tuple[int, int], label: Callable[[Sequence[int]], str]
    ) -> None:
        self._turns, self._label = turns, label
        timed = [turn for turn in turns if turn.seconds[1] > turn.seconds[0]]
        self._decoding = {_key(turn): decoding_rate(turn, lengths) for turn in timed}
        self._sweeping = {_key(turn): sweeping_rate(turn, lengths) for turn in timed}
        self._speed = {_key(turn): 1 / turn.seconds[1] for turn in timed}

    def line(self, entry: Entry, grid: Grid) -> Line:
        name, precision = entry.way.name, entry.precision
        sweeping = _spread([rate for key, rate in self._sweeping.items() if key[:2] == (name, precision)])
        if name == PRODUCTS:
            sweeping = None  # without attention it is no sweep
        costs = self._ratios(self._speed, UNSTEERED.get(name, ""), precision, name, precision)
        shared = self._beside_reference(entry)
        return Line(
            entry=entry,
            rows=next(len(turn.rows) for turn in self._turns if turn.entry == entry),
            decoding=_spread([rate for key, rate in self._decoding.items() if key[:2] == (name, precision)]),
            sweeping=sweeping,
            hours=sweeping and grid.outputs * NEW_TOKENS / sweeping.median / 3600,
            ratio=sweeping and _spread(self._ratios(self._sweeping, name, precision, STUDY, precision)),
            ratio_to_reference=sweeping
            and _spread(self._ratios(self._sweeping, name, precision, STUDY, REFERENCE)),
            cost=_spread([ratio - 1 for ratio in costs]),
            of_products=_spread(self._ratios(self._decoding, name, precision, PRODUCTS, precision))
            if sweeping and entry.way.size is Size.GRID
            else None,
            tokens=_share([made == expected for made, expected in shared]),
            labels=_share([self._label(made) == self._label(expected) for made, expected in shared]),
        )

    def _ratios(
        self, rates: Mapping[Key, float], name: str, precision: str, other: str, other_precision: str
    ) -> list[float]:
        """One entry's rates over another's, in the rounds that both have."""
        return [
            rate / rates[other, other_precision, number]
            for (way, of, number), rate in rates.items()
            if (way, of) == (name, precision) and (other, other_precision, number) in rates
        ]

    def _beside_reference(self, entry: Entry) -> list[tuple[list[int], list[int]]]:
        """An entry's outputs, each beside the torch engine's in float32, steered as it is."""
        reference = TORCH if entry.way.steers else UNSTEERED[TORCH]
        expected = {
            (turn.round, row): made
            for turn in self._turns
            if _key(turn)[:2] == (reference, REFERENCE)
            for row, made in zip(turn.rows, turn.made, strict=True)
        }
        return [
            (made, expected[turn.round, row])
            for turn in self._turns
            if turn.entry == entry
            for row, made in zip(turn.rows, turn.made, strict=False)  # products make nothing
            if (turn.round, row) in expected
        ]


def _key(turn: Turn) -> Key:
    return turn.entry.way.name, turn.entry.precision, turn.round


def _spread(values: Sequence[float]) -> Spread | None:
    return Spread(median(values), min(values), max(values)) if values else None


def _share(same: Sequence[bool]) -> Share | None:
    return Share(sum(same), len(same)) if same else None
