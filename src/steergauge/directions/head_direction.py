"""A behaviour's direction in single attention heads, with what is needed to choose among them."""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from steergauge.errors import SteergaugeError

SHARE_OF_HEADS = 0.05
"""How many of a model's heads are steered; ITI took 48 of 1,024."""


class Head(NamedTuple):
    """One attention head."""

    block: int
    head: int


@dataclass(frozen=True, eq=False)
class HeadDirection:
    """One unit vector a head, and how well the head tells prompts apart that its probe has not seen.

    Attributes:
        vectors: θ, (blocks, heads, head width); 0 where the classes' means do not differ.
        spreads: σ, the standard deviation of ⟨x, θ⟩ over the prompts of both classes, (blocks, heads).
        accuracies: share of held-out prompts that the head's probe gets right, (blocks, heads); even odds count half.
        losses: mean log loss on the held-out prompts, in nats, (blocks, heads); log 2 where the probe knows nothing.
        method: the extraction method's name.
        site: what was read.
        position: the token read, counted from the prompt's end.
    """

    vectors: NDArray[np.float32]
    spreads: NDArray[np.float64]
    accuracies: NDArray[np.float64]
    losses: NDArray[np.float64]
    method: str = "iti"
    site: str = "o_proj input"
    position: int = -1

    @property
    def digest(self) -> str:
        """SHA-256 of what steering rests on: vectors, spreads, and the accuracies and losses that rank the heads."""
        parts = (self.vectors, self.spreads, self.accuracies, self.losses)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()

    def require_fit(self, blocks: int, heads: int, width: int, model: str) -> None:
        """Refuses a model of another shape; `width` is that of one head.

        Raises:
            SteergaugeError: naming both shapes.
        """
        if self.vectors.shape != (blocks, heads, width):
            ours = " × ".join(map(str, self.vectors.shape))
            raise SteergaugeError(
                f"the head direction is of {ours} blocks × heads × coordinates and {model} has "
                f"{blocks} × {heads} × {width}; extract it on this model"
            )

    def best_heads(self, first_block: int = 0, count: int | None = None) -> tuple[Head, ...]:
        """The heads from a block on that tell the classes apart best, best first.

        With few prompts many heads get all of them right, so those of one accuracy go by log loss: first the heads
        that are right by the widest margin. Then the earlier block and head.

        Args:
            first_block: no head before it is taken.
            count: K; without it 5% of all heads of the model, wherever the first block is. Fewer are returned where
                fewer have a direction.

        Raises:
            SteergaugeError: the block is out of range, K is not positive, or no head there has a direction.
        """
        blocks, heads = self.spreads.shape
        if not 0 <= first_block < blocks:
            raise SteergaugeError(
                f"block {first_block} is out of range; the model has blocks 0 to {blocks - 1}"
            )
        count = max(1, round(SHARE_OF_HEADS * blocks * heads)) if count is None else count
        if count < 1:
            raise SteergaugeError(f"iti steers at least one head, not {count}")
        usable = [
            Head(block, head)
            for block in range(first_block, blocks)
            for head in range(heads)
            if self.spreads[block, head] > 0
        ]
        if not usable:
            raise SteergaugeError(
                f"iti: no attention head from block {first_block} on reads the two classes differently; "
                "start at an earlier block, or use another method"
            )
        return tuple(sorted(usable, key=lambda one: (-self.accuracies[one], self.losses[one], one))[:count])
