"""A steering: which vector, what is done along it, at which blocks and positions, and how much."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steergauge.steering.dose import Dose, Yardsticks, coefficients, operation_of, require_blocks
from steergauge.steering.operation import Operation
from steergauge.steering.positions import Positions


@dataclass(frozen=True, eq=False)
class Steering:
    """One operation along one vector, on a range of blocks, from some token on.

    Attributes:
        vector: û, (width,), a unit vector.
        coefficients: one a block, (blocks,): how far the component moves (add, rotate) or where it is set (affine,
            clamp); 0 where a block is not steered, and for ablation.
        first_block: the first that is steered.
        operation: what is done.
        last_block: the last that is steered; None for the model's last.
        positions: the tokens that are steered.

    Raises:
        ValueError: an ablation with a coefficient.
    """

    vector: NDArray[np.float32]
    coefficients: NDArray[np.float64]
    first_block: int
    operation: Operation = Operation.ADD
    last_block: int | None = None
    positions: Positions = Positions.ALL

    def __post_init__(self) -> None:
        if self.operation is Operation.ABLATE and self.coefficients.any():
            raise ValueError("an ablation has no coefficients other than 0; to set a component, clamp it")

    @property
    def blocks(self) -> range:
        """The steered blocks."""
        last = len(self.coefficients) - 1 if self.last_block is None else self.last_block
        return range(self.first_block, last + 1)

    @property
    def changes_nothing(self) -> bool:
        """Whether it is the unsteered control."""
        return not self.operation.sets_component and not self.coefficients.any()

    def identity(self) -> dict[str, Any]:
        """What makes two steerings the same one, for content addresses."""
        if self.changes_nothing:
            return {"operation": "none"}
        identity = {
            "operation": self.operation.value,
            "vector": hashlib.sha256(self.vector.tobytes()).hexdigest(),
            "first_block": self.first_block,
            "coefficients": [float(value) for value in self.coefficients],
            "positions": self.positions.value,
        }
        if self.blocks.stop < len(self.coefficients):
            identity["last_block"] = self.blocks.stop - 1
        return identity

    def with_vector(self, vector: NDArray[np.float32]) -> "Steering":
        """The same coefficients along another vector."""
        return replace(self, vector=vector)


def steer(
    dose: Dose,
    first_block: int,
    yardsticks: Yardsticks,
    *,
    operation: Operation | None = None,
    last_block: int | None = None,
    positions: Positions = Positions.ALL,
) -> Steering:
    """Along û of the first block; nothing more said, the study's rule: onward through the last, at every token.

    Args:
        dose: how much.
        first_block: l.
        yardsticks: the direction, and what doses are measured in.
        operation: None: clamp for a dose of that unit, add for any other.
        last_block: None for the model's last; `first_block` for one block.
        positions: the tokens that are steered.

    Raises:
        SteergaugeError: a block is out of range, the dose is not finite, or the operation does not take it.
    """
    values = coefficients(dose, first_block, yardsticks, operation=operation, last_block=last_block).values
    return Steering(
        vector=yardsticks.direction.vectors[first_block],
        coefficients=values,
        first_block=first_block,
        operation=operation_of(dose.unit, operation),
        last_block=last_block,
        positions=positions,
    )


def ablation(
    vector: NDArray[np.float32],
    blocks: int,
    *,
    first_block: int = 0,
    last_block: int | None = None,
    positions: Positions = Positions.ALL,
) -> Steering:
    """Takes the whole component along û away while the model runs; its weights stay as they are.

    Args:
        vector: û, (width,), a unit vector.
        blocks: how many the model has.
        first_block: the first that is ablated.
        last_block: None for the model's last.
        positions: the tokens that are ablated.

    Raises:
        SteergaugeError: a block is out of range.
    """
    require_blocks(first_block, last_block, blocks)
    return Steering(vector, np.zeros(blocks), first_block, Operation.ABLATE, last_block, positions)


def same_dose_along(vector: NDArray[np.float32], steering: Steering, yardsticks: Yardsticks) -> Steering:
    """A steering's control: the same dose along another vector.

    Where a component is set, it is set as far from its usual place on benign prompts as the steering sets its
    own: the same target would be another dose.
    """
    same = steering.with_vector(vector)
    if steering.operation not in (Operation.AFFINE, Operation.CLAMP):
        return same
    elsewhere = yardsticks.components(vector) - yardsticks.components(steering.vector)
    steered = np.isin(np.arange(len(elsewhere)), steering.blocks)
    return replace(same, coefficients=np.where(steered, steering.coefficients + elsewhere, 0.0))


def unsteered(blocks: int, width: int) -> Steering:
    """The control: the same path at dose 0."""
    return Steering(np.zeros(width, dtype=np.float32), np.zeros(blocks), 0)
