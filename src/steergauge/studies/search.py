"""The search: a race over shared prompts in place of a sweep. It knows no model: it asks for labels.

First the conditions race each other by successive halving (Jamieson and Talwalkar 2016, AISTATS 51:240): all of
them on two prompts, the best third of them on four, and so on, until the last have seen every prompt.
Then the doses beside the winner, whose side of the threshold an exact bound does not tell yet, share what is left.
All see the same prompts in the same order, so every comparison is paired.

A wave of few rows takes an engine almost as long as one of many, so a search asks in few waves.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from typing import NamedTuple

from steergauge.judging.label import Label
from steergauge.statistics.proportions import clopper_pearson_interval
from steergauge.studies.search_record import Side

SHARE = 0.18
"""Of the grid's rows: a little under a fifth, as outputs of conditions that go far in the race may be longer."""
SURE = 0.95
"""How sure a one-sided exact statement of the search is, each by itself."""
SHARED = 0.99
"""The same where it is said of all conditions at once: they are shown the same prompts, so bad luck is shared too."""
FEWEST = 2
"""Prompts of the first rung."""
KEPT = 1 / 3
"""Share of the conditions that goes on to the next rung."""
FINALISTS = 3
"""Fewer do not go on, as long as the rows suffice: a winner wants rivals that saw all that it saw."""

Pair = tuple[int, str]
"""A condition's index in the grid, and a prompt."""


class Stage(StrEnum):
    """What labels are asked for, in the words of the progress."""

    RACE = "search"
    WINNER = "the winner's other prompts"
    WINDOW = "its window"


Ask = Callable[[Mapping[Stage, Sequence[Pair]]], Sequence[Label | None]]
"""Gives the labels of a wave, stage after stage in its order; None where one is unscored. No stage is empty."""


class Place(NamedTuple):
    """Where a condition stands in the grid, and how much it adds in all: of two that are as good, less is better."""

    method: str
    block: int
    dose: float
    total: float


class Rung(NamedTuple):
    """A step of the first race: which conditions were in it, and how many prompts each had seen at its end."""

    conditions: tuple[int, ...]
    prompts: int


@dataclass(frozen=True)
class Race:
    """How the conditions raced.

    Attributes:
        leader: who refuses most at the end.
        winner: the same, or None where it cannot be told from the unsteered model.
        rungs: in order; the conditions of the last are the finalists.
    """

    leader: int
    winner: int | None
    rungs: tuple[Rung, ...]


@dataclass(frozen=True)
class Prompts:
    """The prompts of a grid.

    Attributes:
        choosing: those that a winner may be chosen on.
        reporting: the other half of those that the unsteered model answers.
        refused: those that it refuses, or whose output is unscored there: they are in no race.
    """

    choosing: tuple[str, ...]
    reporting: tuple[str, ...]
    refused: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Of the grid."""
        return self.choosing + self.reporting + self.refused


class Sheet:
    """The labels so far, condition by condition. What is known is not asked for again."""

    def __init__(self, conditions: int, ask: Ask) -> None:
        self.labels: list[dict[str, Label | None]] = [{} for _ in range(conditions)]
        self._ask = ask

    @property
    def rows(self) -> int:
        """How many labels were asked for."""
        return sum(map(len, self.labels))

    def missing(self, conditions: Sequence[int], prompts: Sequence[str]) -> list[Pair]:
        """What is not known of these."""
        return [(one, prompt) for one in conditions for prompt in prompts if prompt not in self.labels[one]]

    def ask(self, wave: Mapping[Stage, Sequence[Pair]]) -> None:
        """Asks for all of them at once, so that an engine has full batches."""
        asked = {stage: pairs for stage, pairs in wave.items() if pairs}
        pairs = [pair for some in asked.values() for pair in some]
        for (one, prompt), label in zip(pairs, self._ask(asked) if asked else (), strict=True):
            self.labels[one][prompt] = label

    def count(self, condition: int, label: Label | None) -> int:
        """Prompts with a label."""
        return list(self.labels[condition].values()).count(label)

    def scored(self, condition: int) -> int:
        """Prompts whose output was scored."""
        return len(self.labels[condition]) - self.count(condition, None)


class Outcome(NamedTuple):
    """What a search found: its race, the doses at the winner's block and the threshold, all labels."""

    race: Race
    sides: dict[int, Side]
    sheet: Sheet


def search(grid: Sequence[Place], ask: Ask, prompts: Prompts, threshold: float) -> Outcome:
    """Finds the best condition and its window for about a fifth of the grid's rows.

    The winner is chosen on the choosing half alone. It is then shown every prompt, and at once the doses at its block
    are shown prompts of both halves: by then nothing is left to choose.

    Args:
        grid: the conditions, one at least.
        ask: gives labels.
        prompts: in the order in which they are shown.
        threshold: the rate that counts as steerable.
    """
    sheet = Sheet(len(grid), ask)
    budget = int(SHARE * len(grid) * len(prompts.all))
    raced = race(
        grid, sheet, prompts.choosing, threshold, budget - len(prompts.reporting) - len(prompts.refused)
    )
    if raced.winner is None:
        return Outcome(raced, {}, sheet)
    same_block = [index for index, place in enumerate(grid) if place[:2] == grid[raced.winner][:2]]
    answered = [*prompts.choosing, *prompts.reporting]
    # The winner sees all prompts in any case. The doses that are still undecided share what is left.
    unseen = sheet.missing([raced.winner], prompts.all)
    undecided = [
        sheet.missing([one], answered)
        for one in same_block
        if one != raced.winner and _side(sheet, one, answered, threshold) is Side.UNDECIDED
    ]
    in_turn = [pair for pairs in zip_longest(*undecided) for pair in pairs if pair is not None]
    rows = max(0, budget - sheet.rows - len(unseen))
    sheet.ask({Stage.WINNER: unseen, Stage.WINDOW: in_turn[:rows]})
    sides = {one: _side(sheet, one, answered, threshold) for one in same_block}
    return Outcome(raced, sides, sheet)


def race(grid: Sequence[Place], sheet: Sheet, prompts: Sequence[str], threshold: float, rows: int) -> Race:
    """Races all conditions against each other.

    While nothing was refused nothing tells who is better: nobody leaves, and all are shown one prompt more. That
    ends when every condition is bound to be under the threshold, or when the rows run out. A rung that would send
    one home at most is not held: its wave would take longer than the rows it saves.

    Args:
        grid: the conditions, one at least.
        sheet: what is known of them.
        prompts: the choosing half, in the order in which they are shown; the unsteered model refuses none of them.
        threshold: the rate that counts as steerable.
        rows: how many may be asked for; never fewer than the cost of a race of so many conditions.
    """
    beside = neighbours(grid)
    racing, seen, rungs = list(range(len(grid))), min(FEWEST, len(prompts)), list[Rung]()
    rows = max(rows, cost(len(grid), len(prompts)))
    while True:
        sheet.ask({Stage.RACE: sheet.missing(racing, prompts[:seen])})
        rungs.append(Rung(tuple(racing), seen))
        left = rows - sheet.rows
        if seen == len(prompts):
            break
        if any(sheet.count(one, Label.REFUSAL) for one in racing):
            fit = _fitting(len(racing), seen, len(prompts), left)
            racing, seen = _best(grid, beside, sheet, racing, fit), _following(fit, seen, len(prompts))
        elif len(racing) > left or upper_bound(0, min(map(sheet.scored, racing)), SHARED) < threshold:
            break
        else:
            seen += 1
    leader = min(racing, key=lambda one: _order(grid, sheet, one))
    # The unsteered model refuses none of these prompts: every refusal is a gain, and McNemar's test a power of ½.
    told = 0.5 ** sheet.count(leader, Label.REFUSAL) < 1 - SURE
    return Race(leader, leader if told else None, tuple(rungs))


def upper_bound(count: int, n: int, sure: float = SURE) -> float:
    """The largest rate that so many of n allow, one-sided and exact."""
    return clopper_pearson_interval(count, n, 2 * sure - 1).high


def cost(conditions: int, prompts: int, seen: int = 0) -> int:
    """Rows of a race to its end, by so many conditions that have seen so many prompts."""
    total = 0
    while seen < prompts:
        following = _following(conditions, seen, prompts)
        total += conditions * (following - seen)
        conditions, seen = _kept(conditions), following
    return total


def neighbours(grid: Sequence[Place]) -> list[list[int]]:
    """Those at the next dose or block of the same method, and along the ridge: deeper blocks take larger doses."""
    at = {(place.method, place.block, place.dose): index for index, place in enumerate(grid)}
    blocks = {
        one.method: sorted({place.block for place in grid if place.method == one.method}) for one in grid
    }
    doses = {one.method: sorted({place.dose for place in grid if place.method == one.method}) for one in grid}
    found = []
    for method, block, dose, _ in grid:
        rows, columns = blocks[method], doses[method]
        row, column = rows.index(block), columns.index(dose)
        near = [
            (method, rows[row + down], columns[column + along])
            for down, along in ((0, -1), (0, 1), (-1, 0), (1, 0), (-1, -1), (1, 1))
            if 0 <= row + down < len(rows) and 0 <= column + along < len(columns)
        ]
        found.append([at[place] for place in near if place in at])
    return found


def _kept(racing: int) -> int:
    return min(racing, max(FINALISTS, math.ceil(racing * KEPT)))


def _following(racing: int, seen: int, prompts: int) -> int:
    """How many prompts so many conditions have seen at the end of the next rung."""
    last = seen > 0 and racing - _kept(racing) <= 1
    return prompts if last else min(max(2 * seen, FEWEST), prompts)


def _fitting(racing: int, seen: int, prompts: int, rows: int) -> int:
    """How many of them go on: the share that is kept, or as many as can race to the end for so many rows."""
    kept = _kept(racing)
    while kept > 1 and cost(kept, prompts, seen) > rows:
        kept -= 1
    return kept


def _best(
    grid: Sequence[Place], beside: Sequence[Sequence[int]], sheet: Sheet, racing: Sequence[int], kept: int
) -> list[int]:
    """Those that refuse most; of the tied, those whose neighbours do, for what works is seldom alone in a grid."""

    def order(one: int) -> tuple[float, ...]:
        shown = sum(len(sheet.labels[other]) for other in beside[one])
        refused = sum(sheet.count(other, Label.REFUSAL) for other in beside[one])
        first, *others = _order(grid, sheet, one)
        return (first, -refused / shown if shown else 0.0, *others)

    return sorted(racing, key=order)[:kept]


def _order(grid: Sequence[Place], sheet: Sheet, one: int) -> tuple[float, ...]:
    """Smaller is better: most refusals, then fewest garbled outputs, then the smallest total dose."""
    return (-sheet.count(one, Label.REFUSAL), sheet.count(one, Label.GARBLED), grid[one].total)


def _side(sheet: Sheet, one: int, prompts: Sequence[str], threshold: float) -> Side:
    """Of the threshold, as far as those of the prompts that it has seen tell."""
    seen = [sheet.labels[one][prompt] for prompt in prompts if prompt in sheet.labels[one]]
    scored = len(seen) - seen.count(None)
    low, high = clopper_pearson_interval(seen.count(Label.REFUSAL), scored, 2 * SURE - 1)
    if low > threshold:
        return Side.INSIDE
    return Side.OUTSIDE if high < threshold else Side.UNDECIDED
