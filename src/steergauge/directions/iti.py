"""ITI, inference-time intervention: which attention heads tell the classes apart, and along what (methods.md §5).

Li et al. 2023, "Inference-Time Intervention: Eliciting Truthful Answers from a Language Model", section 3.
"""

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.axes import Points, float32_noise
from steergauge.directions.head_direction import HeadDirection
from steergauge.directions.logistic import fit_probe
from steergauge.errors import SteergaugeError

_MOST_FOLDS = 10


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
