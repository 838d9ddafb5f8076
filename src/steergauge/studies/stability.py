"""A measurement of stability as it is declared and returned, and its verdict: robust or fragile, block by block and overall."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from steergauge.directions.methods import find_method
from steergauge.directions.stability import ROBUST_COSINE, Design, Robustness, Stability, drawn_in_pairs
from steergauge.errors import SteergaugeError
from steergauge.prompts import ContrastSet, study_contrast_set
from steergauge.studies.measurements import Record
from steergauge.studies.result import ModelRecord


@dataclass(frozen=True)
class StabilitySettings:
    """What is drawn, and how often.

    Attributes:
        methods: names of the table of methods.
        contrast_set: the prompts.
        designs: `bootstrap`, `halves` or both.
        draws: how many of each design.
        in_pairs: draw the i-th prompts of both classes together; None: for methods that read pairs.
        seed: each method's draws in each design are made from it anew.

    Raises:
        SteergaugeError: there is no such method, or nothing can be drawn so; the message says why.
    """

    methods: tuple[str, ...] = ("dim",)
    contrast_set: ContrastSet = field(default_factory=study_contrast_set)
    designs: tuple[Design, ...] = tuple(Design)
    draws: int = 1000
    in_pairs: bool | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, values in (("methods", self.methods), ("designs", self.designs)):
            if not values or len(set(values)) < len(values):
                raise SteergaugeError(
                    f"stability takes one or more {name}, each once; not {', '.join(values) or 'none'}"
                )
        positive, negative = len(self.contrast_set.positive), len(self.contrast_set.negative)
        for method in self.methods:
            find_method(method)
            drawn_in_pairs(method, positive, negative, self.in_pairs)
        if self.draws < 1 or self.seed < 0:
            raise SteergaugeError(
                f"stability takes at least one draw and a seed of 0 or more, not {self.draws} and {self.seed}"
            )


class BlockRecord(Record):
    """The cosines at one block."""

    block: int = Field(description="k, of r_k.")
    median: float = Field(description="Of the draws that gave a direction.")
    low: float = Field(description="Their 2.5th percentile.")
    high: float = Field(description="Their 97.5th percentile.")
    minimum: float = Field(description="The lowest.")
    verdict: Robustness = Field(
        description="`robust` where the median, with every degenerate draw as −1, is at least 0.95."
    )


class DesignRecord(Record):
    """One method in one design."""

    design: Design = Field(
        description="`bootstrap`: against the whole set's direction. `halves`: half against half."
    )
    in_pairs: bool = Field(description="The i-th prompts of both classes were drawn together.")
    draws: int = Field(description="How many were made.")
    degenerate: int = Field(description="Draws in which the method gave no direction.")
    reason: str | None = Field(description="What it said at the first of those.")
    blocks: list[BlockRecord] = Field(description="One entry a block.")

    @property
    def fragile(self) -> list[int]:
        """The blocks that are not robust."""
        return [at.block for at in self.blocks if at.verdict is Robustness.FRAGILE]


class MethodRecord(Record):
    """One method, over its designs."""

    method: str = Field(description="How the direction was extracted.")
    verdict: Robustness = Field(description="`robust` where it is that at every block in every design.")
    sentence: str = Field(description="The verdict with its ground.")
    designs: list[DesignRecord] = Field(description="One entry a design.")


class StabilityResult(Record):
    """How much the directions of a contrast set depend on its prompts."""

    schema_: Literal["steergauge.stability/1"] = Field(
        default="steergauge.stability/1", alias="schema", description="Name and version of this form."
    )
    steergauge: str = Field(description="The version that measured.")
    model: ModelRecord = Field(description="What was read.")
    contrast_set: str = Field(description="Name of the set.")
    positive: list[str] = Field(description="Its positive prompts.")
    negative: list[str] = Field(description="Its negative prompts.")
    seed: int = Field(description="Each method's draws in each design are made from it anew.")
    without_difference: float = Field(
        description="About the bootstrap's cosine by `dim` if the classes did not differ, in a wide stream."
    )
    methods: list[MethodRecord] = Field(description="One entry a method.")
    versions: dict[str, str] = Field(description="Versions of the packages that matter, by name.")
    hardware: dict[str, str] = Field(description="The machine, by part.")

    def to_pandas(self) -> pd.DataFrame:
        """One row a method, design and block."""
        rows: list[dict[str, Any]] = [
            {
                "method": method.method,
                **design.model_dump(mode="json", exclude={"blocks", "reason"}),
                **at.model_dump(mode="json"),
            }
            for method in self.methods
            for design in method.designs
            for at in design.blocks
        ]
        return pd.DataFrame(rows)


def judge_method(method: str, found: Sequence[Stability]) -> MethodRecord:
    """Puts a method's designs together, with the verdict over all of them."""
    designs = [
        DesignRecord(
            design=one.design,
            in_pairs=one.in_pairs,
            draws=one.draws,
            degenerate=one.degenerate,
            reason=one.reason,
            blocks=[BlockRecord(**asdict(at)) for at in one.by_block],
        )
        for one in found
    ]
    robust = not any(design.fragile for design in designs)
    verdict = Robustness.ROBUST if robust else Robustness.FRAGILE
    return MethodRecord(method=method, verdict=verdict, sentence=_sentence(method, designs), designs=designs)


def _sentence(method: str, designs: Sequence[DesignRecord]) -> str:
    if not any(design.fragile for design in designs):
        where = " and ".join(_NAMES[design.design] for design in designs)
        return f"{method} is robust: the median cosine is at least {ROBUST_COSINE} at every block, {where}."
    worst_first = sorted(designs, key=lambda design: -len(design.fragile))
    parts = [f"{_at(design.fragile, len(design.blocks))} {_NAMES[design.design]}" for design in worst_first]
    return f"{method} is fragile: the median cosine is below {ROBUST_COSINE} at {', at '.join(parts)}."


_NAMES = {Design.BOOTSTRAP: "in the bootstrap", Design.HALVES: "in halves"}


def _at(fragile: Sequence[int], blocks: int) -> str:
    if not fragile:
        return "no block"
    if len(fragile) == blocks:
        return f"all {blocks} blocks"
    return f"{len(fragile)} of {blocks} blocks ({runs(fragile)})"


def runs(blocks: Sequence[int]) -> str:
    """Blocks in words, runs of them as ranges: `0–3, 7`."""
    together = [
        [block for _, block in run]
        for _, run in groupby(enumerate(blocks), key=lambda numbered: numbered[1] - numbered[0])
    ]
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in together)


def cosine_without_difference(positive: int, negative: int) -> float:
    """The cosine of a bootstrap's difference in means with the whole set's, were both classes noise of one kind.

    In a wide stream: a resample of n has the variance of n prompts once more, less a part in n, and shares the whole
    set's. 1/√(1 + (n−1)/n) for two classes of n.

    Args:
        positive: prompts of the positive class.
        negative: prompts of the negative class.
    """
    whole = 1 / positive + 1 / negative
    added = (positive - 1) / positive**2 + (negative - 1) / negative**2
    return float(1 / np.sqrt(1 + added / whole))
