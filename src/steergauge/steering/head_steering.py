"""Head-level addition: which attention heads, along what, and how much (ITI; methods.md §5)."""

import hashlib
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.head_direction import HeadDirection
from steergauge.directions.random import random_unit_vectors
from steergauge.errors import SteergaugeError
from steergauge.steering.positions import Positions


@dataclass(frozen=True, eq=False)
class HeadSteering:
    """At the input of every block's o_proj, at the prompt's last token and all that is generated: add to each head.

    Attributes:
        additions: what is added, (blocks, heads, head width); 0 for the heads that stay as they are.
    """

    positions: ClassVar = Positions.LAST

    additions: NDArray[np.float32]

    @property
    def vector(self) -> NDArray[np.float32]:
        """The additions side by side: what the store keeps of it."""
        return self.additions.ravel()

    @property
    def changes_nothing(self) -> bool:
        """Whether it is the unsteered control."""
        return not self.additions.any()

    @property
    def first_block(self) -> int:
        """The first block with a head that is changed; 0 where none is."""
        return int(np.argmax(self.additions.any(axis=(1, 2))))

    def identity(self) -> dict[str, Any]:
        """What makes two steerings the same one, for content addresses."""
        if self.changes_nothing:
            return {"operation": "none"}
        return {
            "operation": "add_to_heads",
            "vector": hashlib.sha256(self.vector.tobytes()).hexdigest(),
            "shape": list(self.additions.shape),
            "positions": self.positions.value,
        }

    def with_random_vectors(self, seed: int) -> "HeadSteering":
        """The same heads and lengths along random directions: the control that the heads' own must beat."""
        lengths = np.linalg.norm(self.additions, axis=-1, keepdims=True)
        return HeadSteering(lengths * random_unit_vectors(self.additions.shape, seed))


def steer_heads(
    direction: HeadDirection, dose: float, first_block: int = 0, count: int | None = None
) -> HeadSteering:
    """ITI's rule: α·σ·θ to each of the K heads from `first_block` on that tell the classes apart best.

    Args:
        direction: θ and σ of every head, and how well it tells the classes apart.
        dose: α, in standard deviations σ of each head.
        first_block: the heads of earlier blocks stay as they are.
        count: K; without it 5% of all heads of the model.

    Raises:
        SteergaugeError: the block is out of range, no head there has a direction, or the dose is not finite.
    """
    if not np.isfinite(dose):
        raise SteergaugeError(f"a dose must be a finite number, not {dose}")
    additions = np.zeros_like(direction.vectors)
    for head in direction.best_heads(first_block, count):
        additions[head] = dose * direction.spreads[head] * direction.vectors[head]
    return HeadSteering(additions)
