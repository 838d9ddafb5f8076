"""A steering: which vector, added how, at which blocks, and how much."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steergauge.steering.dose import Dose, DoseUnit, Yardsticks, coefficients


class Operation(StrEnum):
    """What is done to the stream along the vector."""

    ADD = "add"
    CLAMP = "clamp"


@dataclass(frozen=True, eq=False)
class Steering:
    """On blocks k ≥ `first_block`, at every position: add `coefficients[k]`·û, or set ⟨r_k, û⟩ to it.

    Attributes:
        vector: û, (width,), a unit vector.
        coefficients: one a block, (blocks,); those before `first_block` are 0 and not used.
    """

    vector: NDArray[np.float32]
    coefficients: NDArray[np.float64]
    first_block: int
    operation: Operation = Operation.ADD

    @property
    def changes_nothing(self) -> bool:
        """Whether it is the unsteered control."""
        return self.operation is Operation.ADD and not self.coefficients.any()

    def identity(self) -> dict[str, Any]:
        """What makes two steerings the same one, for content addresses."""
        if self.changes_nothing:
            return {"operation": "none"}
        return {
            "operation": self.operation.value,
            "vector": hashlib.sha256(self.vector.tobytes()).hexdigest(),
            "first_block": self.first_block,
            "coefficients": [float(value) for value in self.coefficients],
            "positions": "all",
        }

    def with_vector(self, vector: NDArray[np.float32]) -> "Steering":
        """The same dose along another vector."""
        return Steering(vector, self.coefficients, self.first_block, self.operation)


def steer(dose: Dose, first_block: int, yardsticks: Yardsticks) -> Steering:
    """The study's rule: û of block l, from block l through the last, at every position.

    Raises:
        SteergaugeError: the block is out of range, or the dose is not finite.
    """
    values = coefficients(dose, first_block, yardsticks).values  # first: it refuses a block out of range
    operation = Operation.CLAMP if dose.unit is DoseUnit.CLAMP else Operation.ADD
    return Steering(
        vector=yardsticks.direction.vectors[first_block],
        coefficients=values,
        first_block=first_block,
        operation=operation,
    )


def unsteered(blocks: int, width: int) -> Steering:
    """The control: the same path at dose 0."""
    return Steering(np.zeros(width, dtype=np.float32), np.zeros(blocks), 0)
