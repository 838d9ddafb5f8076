"""ITI, inference-time intervention: which attention heads tell the classes apart, and along what (methods.md §5).

Li et al. 2023, "Inference-Time Intervention: Eliciting Truthful Answers from a Language Model", section 3.
"""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.axes import Points, float32_noise
from steergauge.directions.logistic import fit_probe
from steergauge.errors import SteergaugeError

SHARE_OF_HEADS = 0.05
"""How many of a model's heads are steered; ITI took 48 of 1,024."""

_MOST_FOLDS = 10


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


def inference_time_intervention(
    positive: NDArray[np.float32], negative: NDArray[np.float32]
) -> HeadDirection:
    """A probe and a direction for every head.

    θ is the difference of the class means, normalised: of ITI's directions the one that it steers with. σ is over
    all prompts of both classes, as in ITI. The probe, which only ranks the heads, is that of `logistic`. ITI
    ranks by a validation split; contrast sets are too small for one, so every prompt is held out once: in
    min(10, size of the smaller class) folds, the i-th prompt of either class in fold i modulo their number. With the
    study's five pairs that leaves out one pair at a time.

    Args:
        positive: readings of the positive prompts at their last token, (prompts, blocks, heads, head width).
        negative: the same for the negative prompts.

    Raises:
        SteergaugeError: a class has fewer than two prompts, the shapes do not fit, or a number is not finite.
    """
    _require_head_readings(positive, negative)
    _, blocks, heads, width = positive.shape
    vectors = np.zeros((blocks, heads, width), dtype=np.float32)
    spreads = np.zeros((blocks, heads))
    accuracies, losses = np.full((blocks, heads), 0.5), np.full((blocks, heads), np.log(2))
    for head in np.ndindex(blocks, heads):
        ours, theirs = (readings[:, *head].astype(np.float64) for readings in (positive, negative))
        difference = ours.mean(axis=0) - theirs.mean(axis=0)
        length = np.linalg.norm(difference)
        if length <= float32_noise(ours, theirs):
            continue
        unit = difference / length
        vectors[head] = unit
        spreads[head] = (np.concatenate([ours, theirs]) @ unit).std()
        accuracies[head], losses[head] = _held_out(ours, theirs)
    return HeadDirection(vectors, spreads, accuracies, losses)


def _held_out(positive: Points, negative: Points) -> tuple[float, float]:
    """Accuracy and mean log loss of probes on the prompts that each has not seen."""
    folds = min(_MOST_FOLDS, len(positive), len(negative))
    correct = []  # the log odds of the class that a held-out prompt is of
    for fold in range(folds):
        out = [np.arange(len(points)) % folds == fold for points in (positive, negative)]
        probe = fit_probe(positive[~out[0]], negative[~out[1]])
        correct += [probe.log_odds(positive[out[0]]), -probe.log_odds(negative[out[1]])]
    odds = np.concatenate(correct)
    return float(np.heaviside(odds, 0.5).mean()), float(np.logaddexp(0, -odds).mean())


def _require_head_readings(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> None:
    for name, readings in (("positive", positive), ("negative", negative)):
        if readings.ndim != 4:
            raise SteergaugeError(
                f"iti: the {name} readings have the shape {readings.shape}; "
                "it must be (prompts, blocks, heads, head width)"
            )
        if len(readings) < 2:
            raise SteergaugeError(
                f"iti: {len(readings)} {name} prompts are too few to hold one out; give at least two a class"
            )
        if not np.isfinite(readings).all():
            raise SteergaugeError(
                f"iti: a head's reading of the {name} prompts is not finite; load the model in a wider precision"
            )
    if positive.shape[1:] != negative.shape[1:]:
        raise SteergaugeError(
            f"iti: the positive readings are of {positive.shape[1:]} blocks, heads and coordinates, "
            f"the negative ones of {negative.shape[1:]}; read both on one model"
        )
