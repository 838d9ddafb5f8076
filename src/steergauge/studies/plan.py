"""From settings to conditions: the grid of methods × depths × doses, resolved for one model."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.extract import ITI
from steergauge.directions.head_direction import HeadDirection
from steergauge.directions.random import random_unit_vector
from steergauge.models.catalog import CatalogEntry
from steergauge.steering.dose import Dose, DoseUnit, Yardsticks
from steergauge.steering.engine import AnySteering
from steergauge.steering.head_steering import HeadSteering, steer_heads
from steergauge.steering.steering import Steering, same_dose_along, steer
from steergauge.studies.settings import GaugeSettings, SteeredBlocks

logger = logging.getLogger(__name__)

# The study swept 15×, 20× and 25× around 15×; two lower doses show the window's other edge.
_STUDY_FRACTIONS = (1 / 3, 2 / 3, 1.0, 4 / 3, 5 / 3)
_GRIDS = {
    # Of R at the middle block: from doing nothing to garbling on all the small models (docs/doses.md).
    DoseUnit.RAW: (0.025, 0.05, 0.1, 0.2, 0.3),
    DoseUnit.RELATIVE: (0.05, 0.1, 0.2, 0.3, 0.4),
    DoseUnit.SEPARATION: (0.25, 0.5, 1.0, 2.0, 4.0),
}
DEFAULT_DOSES = len(_STUDY_FRACTIONS)
"""How many doses a grid has that the user did not choose, whatever chose it."""


@dataclass(frozen=True)
class PlannedCondition:
    """One method, block and dose, ready to be steered.

    Attributes:
        yardsticks: what its dose is measured in; None of a head steering, whose σ are in it.
    """

    method: str
    block: int
    dose: Dose
    steering: AnySteering
    yardsticks: Yardsticks | None = None

    @property
    def id(self) -> str:
        """Names it in results: method, block, unit and dose."""
        value = f"{self.dose.value:g}"
        if float(value) != self.dose.value:  # six digits may not tell two doses apart
            value = repr(self.dose.value)
        return f"{self.method}-block{self.block}-{self.dose.unit}{value}"

    @property
    def largest_addition(self) -> float:
        """The most that is added anywhere, in units of where it is added: the heads or the stream."""
        added = (
            self.steering.additions if isinstance(self.steering, HeadSteering) else self.steering.coefficients
        )
        return float(np.abs(added).max())

    def along_random(self, seed: int) -> AnySteering:
        """The same dose at the same place along a random direction."""
        if isinstance(self.steering, HeadSteering):
            return self.steering.with_random_vectors(seed)
        assert self.yardsticks is not None
        return same_dose_along(
            random_unit_vector(len(self.steering.vector), seed), self.steering, self.yardsticks
        )


class ChosenDoses(NamedTuple):
    """The doses of a grid, and what chose them."""

    values: tuple[float, ...]
    chosen_by: str


def block_at(depth: float, blocks: int) -> int:
    """The study's rule: L = int(f·N), so that N = 28 gives .5→14, .6→16, .7→19 (methods.md §0)."""
    return int(depth * blocks + 1e-9)  # 0.7 · 10 is 6.999… in binary


def choose_doses(
    settings: GaugeSettings, entry: CatalogEntry | None, residual_norms: NDArray[np.float64]
) -> ChosenDoses:
    """The user's doses; else around the study's multiplier for the model; else from its residual norms.

    Args:
        settings: the unit, and the doses if the user gave any.
        entry: the model's place in the catalogue.
        residual_norms: R_k, (blocks,).
    """
    if settings.doses is not None:
        return ChosenDoses(tuple(sorted(settings.doses)), "the user")
    middle = float(residual_norms[len(residual_norms) // 2])
    if settings.norm_fractions is not None:
        values = tuple(two_digits(middle * fraction) for fraction in sorted(settings.norm_fractions))
        return ChosenDoses(values, f"fractions of the residual norm at the middle block, {middle:.3g}")
    if settings.unit is not DoseUnit.RAW:
        return ChosenDoses(_GRIDS[settings.unit], f"the default grid of the unit {settings.unit}")
    if entry is not None and entry.study_multiplier is not None:
        multiplier = entry.study_multiplier
        values = tuple(two_digits(multiplier * fraction) for fraction in _STUDY_FRACTIONS)
        return ChosenDoses(values, f"the study's multiplier for {entry.name}, {multiplier:g}")
    values = tuple(two_digits(middle * fraction) for fraction in _GRIDS[DoseUnit.RAW])
    return ChosenDoses(values, f"the residual norm at the middle block, {middle:.3g}")


def plan_conditions(
    settings: GaugeSettings,
    blocks: Collection[int],
    doses: tuple[float, ...],
    yardsticks: Mapping[str, Yardsticks],
    heads: HeadDirection | None = None,
) -> list[PlannedCondition]:
    """Every method × block × dose, in that order.

    Args:
        settings: the grid.
        blocks: where steering is to begin; those that fall together are one.
        doses: of the methods that steer the stream.
        yardsticks: of these methods, by name.
        heads: where iti's heads are to be chosen from.

    Raises:
        SteergaugeError: a block is out of range or a dose is not finite.
    """
    distinct = sorted(set(blocks))
    conditions = [
        PlannedCondition(method, block, dose, _steer(settings, dose, block, measures), measures)
        for method, measures in yardsticks.items()
        for block in distinct
        for dose in (Dose(value, settings.unit) for value in doses)
    ]
    if heads is not None:
        conditions += [
            PlannedCondition(ITI, block, Dose(value, DoseUnit.SIGMA), steer_heads(heads, value, block))
            for block in _with_heads(heads, distinct)
            for value in sorted(settings.head_doses)
        ]
    return conditions


def _with_heads(heads: HeadDirection, blocks: Sequence[int]) -> Sequence[int]:
    """The blocks from which on some head has a direction, or the first where none has, for its error."""
    with_heads = [block for block in blocks if heads.spreads[block:].any()]
    if without := [str(block) for block in blocks if block not in with_heads]:
        logger.warning("iti: no head from block %s on has a direction; left out there", " or ".join(without))
    return with_heads or blocks[:1]


def _steer(settings: GaugeSettings, dose: Dose, block: int, yardsticks: Yardsticks) -> Steering:
    return steer(
        dose,
        block,
        yardsticks,
        operation=settings.operation,
        last_block=block if settings.blocks is SteeredBlocks.ONE else None,
        positions=settings.positions,
    )


def two_digits(value: float) -> float:
    """The value rounded to two significant digits, as doses are chosen."""
    return float(f"{value:.2g}")
