"""Turns in rounds: every way once a round, forwards and backwards in turn, so that a drift cancels."""

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.sweep.grid import Grid, Row
from benchmarks.sweep.processes import Process, TurnError
from benchmarks.sweep.ways import Size, Way

logger = logging.getLogger(__name__)

# For what happens once: one condition, two prompts.
_WARMING = (1, 2)
_WARMING_LENGTHS = (2, 3)


class Entry(NamedTuple):
    """A way in a precision: a line of the table."""

    way: Way
    precision: str


@dataclass(frozen=True)
class Shape:
    """How much a turn is.

    Attributes:
        rows: of the engines, by precision.
        few: of the study's way.
        lengths: new tokens of the short and of the long run of the same rows. Their difference is decoding
            alone, and the short one's rest is the prompts'.
    """

    rows: Mapping[str, int]
    few: int
    lengths: tuple[int, int]

    def slice_for(self, entry: Entry, number: int, grid: Grid) -> list[Row]:
        """An entry's rows of a round: of the engines, rows of at least two conditions; of the others, of the first."""
        prompts = len(grid.prompts)
        conditions = max(2, math.ceil(max(self.rows.values()) / prompts))
        rows = self.few if entry.way.size is Size.FEW else self.rows[entry.precision]
        each = math.ceil(rows / conditions) if entry.way.size is Size.GRID else min(rows, prompts)
        slice_ = grid.slice_of(number, conditions, each)
        return slice_[:rows] if entry.way.size is Size.GRID else slice_[:each]


class Turn(NamedTuple):
    """What one turn took and made.

    Attributes:
        seconds: of the short and the long run.
        made: the long run's new tokens, a list a row.
    """

    entry: Entry
    round: int
    rows: tuple[Row, ...]
    seconds: tuple[float, float]
    made: list[list[int]]


@dataclass(frozen=True)
class Measured:
    """All turns, and what went with them.

    Attributes:
        failures: why an entry has none, or no more.
        peaks: bytes, of the process that an entry shares with the others of the same key.
        told: versions and threads of each process, by its key.
    """

    turns: list[Turn]
    failures: dict[Entry, str]
    peaks: dict[str, int]
    told: dict[str, dict[str, object]]


def measure(
    model: str,
    grid: Grid,
    grid_file: Path,
    entries: Mapping[Entry, str],
    *,
    shape: Shape,
    seconds: float,
    clock: str = "wall",
) -> Measured:
    """Runs whole rounds until another would not end in time, but at least one.

    Args:
        model: its name.
        grid: what is swept.
        grid_file: where it is saved.
        entries: what runs, each with the interpreter that it runs in.
        shape: of a turn.
        seconds: for everything.
        clock: of the turns; `processor` is less disturbed by other programs, with one thread.
    """
    begun, longest = time.monotonic(), 0.0
    measured = Measured([], {}, {}, {})
    with ExitStack() as stack:
        processes: dict[str, Process] = {}
        keys = {entry: f"{entry.way.process} {entry.precision} {python}" for entry, python in entries.items()}
        for entry, python in entries.items():
            if keys[entry] not in processes:
                processes[keys[entry]] = Process(python, model, entry.precision, grid_file)
                stack.callback(processes[keys[entry]].close)

        def turn(entry: Entry, number: int, rows: Sequence[Row], lengths: tuple[int, int]) -> None:
            try:
                answer = processes[keys[entry]].turn(entry.way, rows, lengths)
            except TurnError as error:
                measured.failures[entry] = str(error)
                logger.warning("%s %s failed: %s", entry.way.name, entry.precision, error)
                return
            short, long = answer["seconds"][clock]
            logger.info("round %d: %s %s %.1f + %.1f s", number, entry.way.name, entry.precision, short, long)
            measured.peaks[keys[entry]] = answer["peak_bytes"]
            measured.told[keys[entry]] = {"threads": answer["threads"], **answer["versions"]}
            if number:
                measured.turns.append(Turn(entry, number, tuple(rows), (short, long), answer["made"]))

        for entry in entries:
            turn(entry, 0, grid.slice_of(0, *_WARMING), _WARMING_LENGTHS)
        for number, order in enumerate(_orders(list(entries)), start=1):
            started = time.monotonic()
            for entry in order:
                if entry not in measured.failures:
                    turn(entry, number, shape.slice_for(entry, number, grid), shape.lengths)
            longest = max(longest, time.monotonic() - started)
            if time.monotonic() - begun + longest > seconds:
                break
    return measured


def _orders(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    while True:
        yield entries
        yield entries[::-1]
