"""From settings to conditions: the grid of methods × depths × doses, resolved for one model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from steergauge.models.catalog import CatalogEntry
from steergauge.steering.dose import Dose, DoseUnit, Yardsticks
from steergauge.steering.steering import Steering, steer
from steergauge.studies.settings import GaugeSettings, SteeredBlocks

# The study swept 15×, 20× and 25× around 15×; two lower doses show the window's other edge.
_STUDY_FRACTIONS = (1 / 3, 2 / 3, 1.0, 4 / 3, 5 / 3)
_GRIDS = {
    # Of R at the middle block: from doing nothing to garbling on all the small models (docs/doses.md).
    DoseUnit.RAW: (0.025, 0.05, 0.1, 0.2, 0.3),
    DoseUnit.RELATIVE: (0.05, 0.1, 0.2, 0.3, 0.4),
    DoseUnit.SEPARATION: (0.25, 0.5, 1.0, 2.0, 4.0),
}


@dataclass(frozen=True)
class PlannedCondition:
    """One method, block and dose, ready to be steered."""

    method: str
    block: int
    dose: Dose
    steering: Steering
    yardsticks: Yardsticks

    @property
    def id(self) -> str:
        """Names it in results: method, block, unit and dose."""
        value = f"{self.dose.value:g}"
        if float(value) != self.dose.value:  # six digits may not tell two doses apart
            value = repr(self.dose.value)
        return f"{self.method}-block{self.block}-{self.dose.unit}{value}"


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
    if settings.unit is not DoseUnit.RAW:
        return ChosenDoses(_GRIDS[settings.unit], f"the default grid of the unit {settings.unit}")
    if entry is not None and entry.study_multiplier is not None:
        multiplier = entry.study_multiplier
        values = tuple(two_digits(multiplier * fraction) for fraction in _STUDY_FRACTIONS)
        return ChosenDoses(values, f"the study's multiplier for {entry.name}, {multiplier:g}")
    middle = float(residual_norms[len(residual_norms) // 2])
    values = tuple(two_digits(middle * fraction) for fraction in _GRIDS[DoseUnit.RAW])
    return ChosenDoses(values, f"the residual norm at the middle block, {middle:.3g}")


def plan_conditions(
    settings: GaugeSettings, doses: tuple[float, ...], yardsticks: Mapping[str, Yardsticks]
) -> list[PlannedCondition]:
    """Every method × block × dose, in that order. Depths that fall on the same block are one.

    Raises:
        SteergaugeError: a block is out of range or a dose is not finite.
    """
    conditions = []
    for method, measures in yardsticks.items():
        blocks = sorted({block_at(depth, measures.direction.blocks) for depth in settings.depths})
        for block in blocks:
            for value in doses:
                dose = Dose(value, settings.unit)
                steering = steer(
                    dose,
                    block,
                    measures,
                    operation=settings.operation,
                    last_block=block if settings.blocks is SteeredBlocks.ONE else None,
                    positions=settings.positions,
                )
                conditions.append(PlannedCondition(method, block, dose, steering, measures))
    return conditions


def two_digits(value: float) -> float:
    """The value rounded to two significant digits, as doses are chosen."""
    return float(f"{value:.2g}")
