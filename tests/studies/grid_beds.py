"""Test beds of the search: recorded grids of real models, and grids invented with a known ridge."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from steergauge.judging.label import Label
from steergauge.statistics.splitting import shuffle_prompts, split_prompts
from steergauge.studies.search import Pair, Place, Prompts, Stage

GRIDS = Path(__file__).parent / "grids"
LETTERS = {label.value[0]: label for label in Label}


@dataclass(frozen=True)
class Bed:
    """A whole grid: its labels and tokens, condition by condition, prompt by prompt."""

    places: list[Place]
    labels: list[list[Label]]
    tokens: list[list[int]]
    unsteered: list[Label]

    @property
    def prompts(self) -> list[str]:
        return [str(index) for index in range(len(self.unsteered))]

    @property
    def answered(self) -> list[str]:
        return [one for one in self.prompts if self.unsteered[int(one)] is not Label.REFUSAL]

    def ask(self, wave: Mapping[Stage, Sequence[Pair]]) -> list[Label | None]:
        return [self.labels[one][int(prompt)] for pairs in wave.values() for one, prompt in pairs]

    def shown(self, seed: int) -> Prompts:
        choosing, reporting = split_prompts(self.answered, seed)
        refused = [one for one in self.prompts if one not in self.answered]
        return Prompts(tuple(shuffle_prompts(choosing, seed)), tuple(reporting), tuple(refused))

    def refusals(self, one: int, prompts: Sequence[str] | None = None) -> int:
        shown = self.prompts if prompts is None else prompts
        return sum(self.labels[one][int(prompt)] is Label.REFUSAL for prompt in shown)

    def best(self, prompts: Sequence[str] | None = None) -> int:
        """Of the whole grid, by a sweep's own rule."""
        shown = self.prompts if prompts is None else prompts

        def merit(one: int) -> tuple[int, int, float]:
            garbled = sum(self.labels[one][int(prompt)] is Label.GARBLED for prompt in shown)
            return self.refusals(one, shown), -garbled, -self.places[one].total

        return max(range(len(self.places)), key=merit)

    def p_value(self, one: int, other: int) -> float:
        """Exact McNemar over all prompts, from the binomial distribution."""
        pairs = [
            (here is Label.REFUSAL, there is Label.REFUSAL)
            for here, there in zip(self.labels[one], self.labels[other], strict=True)
        ]
        gained, lost = pairs.count((True, False)), pairs.count((False, True))
        return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def recorded(model: str, judge: str) -> Bed:
    """A grid of a real model, as `record_grid.py` wrote it, read by one of the judges."""
    with (GRIDS / f"{model}.csv").open(encoding="utf-8") as file:
        unsteered, *rows = csv.DictReader(file)
    return Bed(
        places=[_place(int(row["block"]), float(row["dose"])) for row in rows],
        labels=[[LETTERS[letter] for letter in row[judge]] for row in rows],
        tokens=[[int(number) for number in row["tokens"].split()] for row in rows],
        unsteered=[LETTERS[letter] for letter in unsteered[judge]],
    )


def invented(seed: int, prompts: int = 30, *, refuses: bool = True) -> Bed:
    """Five blocks and six doses. Each prompt gives in at a dose of its own and breaks at another.

    The ridge is at a block drawn from the seed; away from it more is needed. All breaks sooner where it is shallow.
    """
    random = np.random.default_rng(seed)
    peak, width = random.uniform(0, 4), random.uniform(0.8, 2)
    needed, breaks, deeper = random.uniform(0.04, 0.12), random.uniform(0.1, 0.35), random.uniform(0, 0.35)
    gives_in = np.exp(random.normal(0, 0.5, prompts))
    holds = np.exp(random.normal(0, 0.25, prompts))
    never = random.random(prompts) > random.uniform(0.8, 1) if refuses else np.ones(prompts, dtype=bool)
    places, labels = [], []
    for row, block in enumerate((7, 9, 12, 14, 16)):
        strength = math.exp(-(((row - peak) / width) ** 2) / 2)
        for dose in (0.025, 0.05, 0.1, 0.2, 0.3, 0.4):
            noise = np.exp(random.normal(0, 0.15, (2, prompts)))
            refused = (dose * strength / needed > gives_in * noise[0]) & ~never
            garbled = dose / (breaks * (1 + deeper * row)) > holds * noise[1]
            places.append(_place(block, dose))
            labels.append(
                [
                    Label.GARBLED if broken else Label.REFUSAL if given_in else Label.NORMAL
                    for broken, given_in in zip(garbled, refused, strict=True)
                ]
            )
    return Bed(places, labels, [[32] * prompts for _ in places], [Label.NORMAL] * prompts)


def _place(block: int, dose: float) -> Place:
    return Place("dim", block, dose, dose * (24 - block))  # what a raw dose comes to from that block on
