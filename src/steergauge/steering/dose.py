"""Doses: multipliers in a unit, and what each comes to in the other units (methods.md §4)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.direction import Direction
from steergauge.errors import SteergaugeError
from steergauge.steering.class_means import ClassMeans
from steergauge.steering.operation import Operation


class DoseUnit(StrEnum):
    """What a multiplier multiplies."""

    RAW = "raw"
    RELATIVE = "relative"
    SEPARATION = "separation"
    CLAMP = "clamp"
    SIGMA = "sigma"
    """Standard deviations of single attention heads along their own directions: iti's, for no other steering."""


_ADDED = (DoseUnit.RAW, DoseUnit.RELATIVE, DoseUnit.SEPARATION)
_UNITS = {
    Operation.ADD: _ADDED,
    Operation.ROTATE: _ADDED,
    Operation.AFFINE: (DoseUnit.SEPARATION,),
    Operation.CLAMP: (DoseUnit.CLAMP,),
}


class Dose(NamedTuple):
    """A multiplier and its unit; for `clamp`, the target component itself."""

    value: float
    unit: DoseUnit


@dataclass(frozen=True)
class Yardsticks:
    """What doses are measured in: one direction on one model, unsteered, on benign prompts.

    Attributes:
        direction: û_k and the distance of the class means along it.
        residual_norms: R_k, (blocks,).
        streams: r_k at the last token, (prompts, blocks, width).
        means: of the classes that the direction was read from; None for an imported one.
    """

    direction: Direction
    residual_norms: NDArray[np.float64]
    streams: NDArray[np.float32]
    means: ClassMeans | None = None

    def components(self, vector: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mean component of r_k along a vector at the last token, (blocks,)."""
        components: NDArray[np.float64] = (self.streams @ vector).mean(axis=0, dtype=np.float64)
        return components

    def separations(self, vector: NDArray[np.float32]) -> NDArray[np.float64]:
        """⟨Δ_k, vector⟩, (blocks,); without the class means, the part of Δ_k along û_k stands for Δ_k."""
        if self.means is not None:
            along: NDArray[np.float64] = self.means.difference @ vector
        else:
            along = self.direction.raw_norms * (self.direction.vectors.astype(np.float64) @ vector)
        return along


class Coefficients(NamedTuple):
    """A steering's coefficients, (blocks,), and the blocks where a negative value was clipped."""

    values: NDArray[np.float64]
    clipped: tuple[int, ...]


def operation_of(unit: DoseUnit, operation: Operation | None = None) -> Operation:
    """The operation that a dose of that unit is for.

    Args:
        unit: the dose's.
        operation: the one asked for; None: clamp for that unit, add for any other.

    Raises:
        SteergaugeError: the operation takes no dose, or none in that unit.
    """
    if operation is None:
        operation = Operation.CLAMP if unit is DoseUnit.CLAMP else Operation.ADD
    if operation is Operation.ABLATE:
        raise SteergaugeError(
            "ablation takes the whole component away, so it has no dose, and what is measured here is what a "
            "dose induces: use add, rotate, affine or clamp"
        )
    if unit not in _UNITS[operation]:
        takes = ", ".join(_UNITS[operation])
        raise SteergaugeError(
            f"the operation {operation} takes doses in {takes}, not in {unit}: change one of them"
        )
    return operation


def require_blocks(first_block: int, last_block: int | None, blocks: int) -> None:
    """Refuses a range that is not in the model.

    Raises:
        SteergaugeError: a block is out of range, or the last lies before the first.
    """
    for block in (first_block, first_block if last_block is None else last_block):
        if not 0 <= block < blocks:
            raise SteergaugeError(f"block {block} is out of range; the model has blocks 0 to {blocks - 1}")
    if last_block is not None and last_block < first_block:
        raise SteergaugeError(f"the last block to steer, {last_block}, lies before the first, {first_block}")


def coefficients(
    dose: Dose,
    first_block: int,
    yardsticks: Yardsticks,
    *,
    operation: Operation | None = None,
    last_block: int | None = None,
) -> Coefficients:
    """The coefficient of û_l at each block from l = `first_block` through `last_block`, 0 at the others.

    `raw`: α at every block (the study). `relative`: β·R_l, then increments β·(R_k − R_{k−1}) clipped at 0, so
    that the direct path at k holds β·R_k. `separation`: increments of γ·⟨Δ_k, û_l⟩, so that it holds
    γ·⟨Δ_k, û_l⟩. `clamp`: the target component. For `affine` the dose c is a separation, and the coefficient the
    target ⟨μ⁻_k + c·Δ_k, û_l⟩.

    Raises:
        SteergaugeError: a block is out of range, the dose is not finite, the operation does not take it, or
            affine steering has no class means.
    """
    blocks = yardsticks.direction.blocks
    require_blocks(first_block, last_block, blocks)
    if not np.isfinite(dose.value):
        raise SteergaugeError(f"a dose must be a finite number, not {dose.value}")
    steered = slice(first_block, None if last_block is None else last_block + 1)
    held = _held_by_direct_path(dose, first_block, yardsticks)[steered]
    values, clipped = np.zeros(blocks), np.zeros(blocks, dtype=bool)
    if operation_of(dose.unit, operation) is Operation.AFFINE:
        values[steered] = _negative_means(first_block, yardsticks)[steered] + held
    elif dose.unit in (DoseUnit.RAW, DoseUnit.CLAMP):
        values[steered] = held
    else:
        values[steered] = np.diff(held, prepend=0.0)
    if dose.unit is DoseUnit.RELATIVE:
        clipped = values * np.sign(dose.value) < 0
        values[clipped] = 0.0
    return Coefficients(values, tuple(int(block) for block in np.flatnonzero(clipped)))


def _held_by_direct_path(dose: Dose, first_block: int, yardsticks: Yardsticks) -> NDArray[np.float64]:
    """The per-block amount that the dose asks for: constants, or what the direct path is to hold; (blocks,)."""
    if dose.unit is DoseUnit.RELATIVE:
        return dose.value * yardsticks.residual_norms
    if dose.unit is DoseUnit.SEPARATION:
        return dose.value * yardsticks.separations(yardsticks.direction.vectors[first_block])
    return np.full(yardsticks.direction.blocks, dose.value)


def _negative_means(first_block: int, yardsticks: Yardsticks) -> NDArray[np.float64]:
    """⟨μ⁻_k, û_l⟩, (blocks,)."""
    if yardsticks.means is None:
        raise SteergaugeError(
            "affine steering needs the means of both classes, which an imported direction does not have: "
            "extract it on this model, or use another operation"
        )
    means: NDArray[np.float64] = yardsticks.means.negative @ yardsticks.direction.vectors[first_block]
    return means


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


def equivalents(
    dose: Dose,
    first_block: int,
    yardsticks: Yardsticks,
    *,
    operation: Operation | None = None,
    last_block: int | None = None,
) -> Equivalents:
    """What a dose from `first_block` through `last_block` comes to in every unit.

    Where a component is set, what is added is the way to it from the mean component on the benign prompts: at
    the first block, and in total at the last, since nothing accumulates.

    Raises:
        SteergaugeError: as `coefficients`.
    """
    values = coefficients(dose, first_block, yardsticks, operation=operation, last_block=last_block).values
    last = yardsticks.direction.blocks - 1 if last_block is None else last_block
    usual = yardsticks.components(yardsticks.direction.vectors[first_block])
    resolved = operation_of(dose.unit, operation)
    if resolved.sets_component:
        raw, total = float(values[first_block] - usual[first_block]), float(values[last] - usual[last])
    else:
        raw, total = float(values[first_block]), float(values.sum())
    if resolved is Operation.ROTATE:
        left = _turned_components(raw, first_block, yardsticks)
    else:
        left = float(usual[first_block]) + raw
    return Equivalents(
        raw=raw,
        relative=raw / float(yardsticks.residual_norms[first_block]),
        separation=raw / float(yardsticks.direction.raw_norms[first_block]),
        clamp=left,
        total_relative=total / float(yardsticks.residual_norms[-1]),
    )


def _turned_components(amount: float, block: int, yardsticks: Yardsticks) -> float:
    """The mean component after a turn, which ends where all of a stream is along û."""
    streams = yardsticks.streams[:, block].astype(np.float64)
    norms = np.linalg.norm(streams, axis=1)
    components = streams @ yardsticks.direction.vectors[block]
    return float(np.clip(components + amount, -norms, norms).mean())
