"""Mass mean, whitened (Marks and Tegmark 2024; methods.md §5).

Their direction for steering, θ_mm = μ⁺ − μ⁻, is DIM's and needs no second name. Their probe on data of one
distribution tilts it by the covariance within the classes: that is the method here.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf_shrinkage

from steergauge.directions.axes import DegenerateError, Points, direction_along_axes, float32_noise
from steergauge.directions.direction import Direction


def whitened_mass_mean(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> Direction:
    """Σ̂⁻¹Δ with Σ̂ = (1 − ρ)·S + ρ·(tr S/width)·I: Fisher's discriminant, shrunk.

    S is the covariance of the prompts about their own class's mean. It has at most as many dimensions as there are
    prompts, and the width is far larger, so it has no inverse: ρ is Ledoit and Wolf's (2004), where the paper
    takes a pseudo-inverse, which would drop the part of Δ outside S. With little variance within the classes
    or ρ near 1 the direction goes to DIM's.

    Args:
        positive: readings of the positive prompts at their last token, (prompts, blocks, width).
        negative: the same for the negative prompts.

    Raises:
        SteergaugeError: the classes have no variance within them, or do not differ, at a block.
    """
    return direction_along_axes("mass_mean_whitened", _axis, positive, negative)


def _axis(positive: Points, negative: Points) -> NDArray[np.float64]:
    difference = positive.mean(axis=0) - negative.mean(axis=0)
    within = np.concatenate([points - points.mean(axis=0) for points in (positive, negative)])
    prompts, width = within.shape
    _, lengths, axes = np.linalg.svd(within, full_matrices=False)
    if lengths[0] <= float32_noise(positive, negative) * np.sqrt(prompts):
        raise DegenerateError(
            "the prompts of a class do not differ from each other, so there is no covariance within the classes; "
            "give several prompts a class, or use dim"
        )
    variances = lengths**2 / prompts  # of S along its axes; 0 along all others
    shrinkage = float(ledoit_wolf_shrinkage(within, assume_centered=True))
    floor = shrinkage * variances.sum() / width
    shrunk = (1 - shrinkage) * variances + floor
    outside = len(axes) < width  # the prompts do not span the stream: beyond them Σ̂ is the floor alone
    if (floor if outside else shrunk.min()) <= 1e-12 * shrunk.max():
        raise DegenerateError(
            "the covariance within the classes has no inverse, even shrunk; give more prompts a class, or use dim"
        )
    along = axes @ difference
    tilted: NDArray[np.float64] = (along / shrunk) @ axes
    if outside:
        tilted += (difference - along @ axes) / floor
    return tilted
