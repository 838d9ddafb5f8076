"""The search on a model's grid: what it is allowed to see, what it may cost, and the record of what it found."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from steergauge.judging.label import Label, Reading
from steergauge.statistics.splitting import shuffle_prompts, split_prompts
from steergauge.steering.engine import AnySteering
from steergauge.studies.analysis import Labels, answered, compare, rate
from steergauge.studies.measurements import Comparison
from steergauge.studies.plan import PlannedCondition
from steergauge.studies.run import Made
from steergauge.studies.search import Pair, Place, Prompts, Race, Sheet, Stage, search, upper_bound
from steergauge.studies.search_record import (
    CostRecord,
    DoseAtWinner,
    FinalistRecord,
    LeaderRecord,
    RungRecord,
    SearchRecord,
)
from steergauge.studies.settings import GaugeSettings
from steergauge.studies.verdict import SIGNIFICANT

Make = Callable[[str, Sequence[tuple[AnySteering, str]]], Sequence[tuple[Made, Reading]]]
"""Generates and judges (steering, prompt) pairs, under the name of a stage, in that order."""


class Searched(NamedTuple):
    """What a search made of each condition, by prompt, and what it found."""

    outputs: list[dict[str, Made]]
    winner: int | None
    record: SearchRecord

    @property
    def open_to_choice(self) -> slice:
        """The winner alone among the conditions, or none."""
        return slice(0, 0) if self.winner is None else slice(self.winner, self.winner + 1)


def search_grid(
    conditions: Sequence[PlannedCondition],
    totals: Sequence[float],
    make: Make,
    *,
    randoms: Callable[[PlannedCondition], Iterable[AnySteering]],
    control: Labels,
    settings: GaugeSettings,
) -> Searched:
    """Searches a model's grid: see `search`.

    Args:
        conditions: the grid.
        totals: how much each adds in all.
        make: generates and judges.
        randoms: the random control of a condition. It is made in the winner's wave, so that it needs none of its own,
            and is in the store when it is asked for.
        control: the unsteered model's labels; what it refuses takes no part in the choice.
        settings: the threshold, the prompts and the seed of their halves and their order.
    """
    grid = [
        Place(one.method, one.block, one.dose.value, total)
        for one, total in zip(conditions, totals, strict=True)
    ]
    prompts = shown(control, settings)
    log = _Log(conditions, make, randoms, prompts.reporting)
    raced, sides, sheet = search(grid, log.ask, prompts, settings.threshold)
    ids = [condition.id for condition in conditions]
    finalists = [one for one in raced.rungs[-1].conditions if one != raced.winner]
    compared = {one: _against(one, raced.winner, sheet, prompts.choosing) for one in range(len(grid))}
    left = set(compared) - {raced.winner, *finalists}
    record = SearchRecord(
        conditions=len(grid),
        choosing=len(prompts.choosing),
        rungs=[RungRecord(conditions=len(rung.conditions), prompts=rung.prompts) for rung in raced.rungs],
        race=log.cost(Stage.RACE),
        winner=log.cost(Stage.WINNER),
        window=log.cost(Stage.WINDOW),
        grid_rows=len(grid) * len(prompts.all),
        share=sheet.rows / (len(grid) * len(prompts.all)),
        finalists=[
            FinalistRecord(condition=ids[one], against_winner=against)
            for one in finalists
            if (against := compared[one])
        ],
        left=len(left),
        not_told_apart=sum(against.p_value >= SIGNIFICANT for one in left if (against := compared[one])),
        doses=[
            DoseAtWinner(condition=ids[one], dose=grid[one].dose, side=side) for one, side in sides.items()
        ],
        leader=_leader(raced, ids, sheet),
    )
    return Searched(log.outputs, raced.winner, record)


def shown(control: Labels, settings: GaugeSettings) -> Prompts:
    """The prompts in the order in which a search shows them: the halves are those of a sweep."""
    halves = split_prompts(answered(control), settings.seed)
    choosing, reporting = (tuple(shuffle_prompts(half, settings.seed)) for half in halves)
    in_race = {*choosing, *reporting}
    return Prompts(choosing, reporting, tuple(prompt for prompt in control if prompt not in in_race))


class _Log:
    """Answers a sheet from an engine, and keeps what was made and what it cost."""

    def __init__(
        self,
        conditions: Sequence[PlannedCondition],
        make: Make,
        randoms: Callable[[PlannedCondition], Iterable[AnySteering]],
        compared_on: Sequence[str],
    ) -> None:
        self.outputs: list[dict[str, Made]] = [{} for _ in conditions]
        self._conditions, self._make = conditions, make
        self._randoms, self._compared_on = randoms, compared_on
        self._rows, self._tokens = Counter[Stage](), Counter[Stage]()

    def ask(self, wave: Mapping[Stage, Sequence[Pair]]) -> list[Label | None]:
        asked = [(stage, one, prompt) for stage, pairs in wave.items() for one, prompt in pairs]
        rows = [(self._conditions[one].steering, prompt) for _, one, prompt in asked]
        for winner in {one for one, _ in wave.get(Stage.WINNER, ())}:
            randoms = self._randoms(self._conditions[winner])
            rows += [(random, prompt) for random in randoms for prompt in self._compared_on]
        made = self._make(", ".join(wave), rows)[: len(asked)]
        for (stage, one, prompt), (output, _) in zip(asked, made, strict=True):
            self.outputs[one][prompt] = output
            self._rows[stage] += 1
            self._tokens[stage] += len(output.generation.tokens)
        return [reading.label for _, reading in made]

    def cost(self, stage: Stage) -> CostRecord:
        return CostRecord(rows=self._rows[stage], tokens=self._tokens[stage])


def _against(one: int, winner: int | None, sheet: Sheet, choosing: Sequence[str]) -> Comparison | None:
    """A condition against the winner, on the choosing prompts that it has seen; the winner has seen all."""
    if winner is None:
        return None
    labels = sheet.labels[one]
    return compare(labels, sheet.labels[winner], [prompt for prompt in choosing if prompt in labels])


def _leader(raced: Race, ids: Sequence[str], sheet: Sheet) -> LeaderRecord | None:
    if raced.winner is not None:
        return None
    refusal = rate(sheet.labels[raced.leader], Label.REFUSAL)
    return LeaderRecord(
        condition=ids[raced.leader], refusal=refusal, bound=upper_bound(refusal.count, refusal.n)
    )
