"""Doses: multipliers in a unit, and what each comes to in the other units (methods.md §4)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.direction import Direction
from steergauge.errors import SteergaugeError


class DoseUnit(StrEnum):
    """What a multiplier multiplies."""

    RAW = "raw"
    RELATIVE = "relative"
    SEPARATION = "separation"
    CLAMP = "clamp"


class Dose(NamedTuple):
    """A multiplier and its unit; for `clamp`, the target component itself."""

    value: float
    unit: DoseUnit


@dataclass(frozen=True)
class Yardsticks:
    """What doses are measured in: one direction on one model, unsteered, on benign prompts.

    Attributes:
        direction: û_k and ‖Δ_k‖.
        residual_norms: R_k, (blocks,).
        streams: r_k at the last token, (prompts, blocks, width).
    """

    direction: Direction
    residual_norms: NDArray[np.float64]
    streams: NDArray[np.float32]

    def component(self, block: int) -> float:
        """Mean component of r_k along û_k at the last token."""
        return float((self.streams[:, block] @ self.direction.vectors[block]).mean(dtype=np.float64))


class Coefficients(NamedTuple):
    """What is added along û at every block, (blocks,), and the blocks where a negative value was clipped."""

    values: NDArray[np.float64]
    clipped: tuple[int, ...]


def coefficients(dose: Dose, first_block: int, yardsticks: Yardsticks) -> Coefficients:
    """The coefficient of û_l at each block from l = `first_block` to the last, 0 before it.

    `raw`: α at every block (the study). `relative`: β·R_l, then increments β·(R_k − R_{k−1}) clipped at 0, so
    that the direct path at k holds β·R_k. `separation`: increments of γ·⟨Δ_k, û_l⟩, so that it holds
    γ·⟨Δ_k, û_l⟩; where a method's û_k is not along Δ_k, its part along û_k stands for it. `clamp`: the target
    component.

    Raises:
        SteergaugeError: the block is out of range, or the dose is not finite.
    """
    blocks = yardsticks.direction.blocks
    if not 0 <= first_block < blocks:
        raise SteergaugeError(f"block {first_block} is out of range; the model has blocks 0 to {blocks - 1}")
    if not np.isfinite(dose.value):
        raise SteergaugeError(f"a dose must be a finite number, not {dose.value}")
    held = _held_by_direct_path(dose, first_block, yardsticks)  # (steered blocks,)
    steered = held if dose.unit in (DoseUnit.RAW, DoseUnit.CLAMP) else np.diff(held, prepend=0.0)
    clipped = np.zeros(len(steered), dtype=bool)
    if dose.unit is DoseUnit.RELATIVE:
        clipped = steered * np.sign(dose.value) < 0
        steered = np.where(clipped, 0.0, steered)
    values = np.zeros(blocks)
    values[first_block:] = steered
    return Coefficients(values, tuple(int(index) + first_block for index in np.flatnonzero(clipped)))


def _held_by_direct_path(dose: Dose, first_block: int, yardsticks: Yardsticks) -> NDArray[np.float64]:
    """The per-block amount that the dose asks for: constants, or what the direct path is to hold."""
    direction = yardsticks.direction
    if dose.unit is DoseUnit.RELATIVE:
        return dose.value * yardsticks.residual_norms[first_block:]
    if dose.unit is DoseUnit.SEPARATION:
        along = direction.vectors[first_block:].astype(np.float64) @ direction.vectors[first_block]
        held: NDArray[np.float64] = dose.value * direction.raw_norms[first_block:] * along
        return held
    return np.full(direction.blocks - first_block, dose.value)


class Equivalents(NamedTuple):
    """One dose in every unit.

    `clamp` is the mean component along û_l that the first addition leaves; `total_relative` is the sum of all
    additions over R_{N−1}.
    """

    raw: float
    relative: float
    separation: float
    clamp: float
    total_relative: float


def equivalents(dose: Dose, first_block: int, yardsticks: Yardsticks) -> Equivalents:
    """What a dose from `first_block` on comes to in every unit.

    Raises:
        SteergaugeError: as `coefficients`.
    """
    added = coefficients(dose, first_block, yardsticks).values
    before = yardsticks.component(first_block)
    if dose.unit is DoseUnit.CLAMP:
        # Setting a component does not accumulate: what is added is the way from the usual component to it.
        raw = total = dose.value - before
    else:
        raw, total = float(added[first_block]), float(added.sum())
    return Equivalents(
        raw=raw,
        relative=raw / float(yardsticks.residual_norms[first_block]),
        separation=raw / float(yardsticks.direction.raw_norms[first_block]),
        clamp=before + raw,
        total_relative=total / float(yardsticks.residual_norms[-1]),
    )
