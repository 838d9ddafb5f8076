"""What the methods share: an axis at every block, pointed from the negative class to the positive one."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.direction import Direction
from steergauge.errors import SteergaugeError

Points = NDArray[np.float64]
"""Readings of one class after one block, (prompts, width)."""


class DegenerateError(Exception):
    """The readings after a block do not determine an axis; the message says why."""


class FindAxis(Protocol):
    """A method at one block: the axis may have any length and either sign."""

    def __call__(self, positive: Points, negative: Points) -> NDArray[np.float64]:
        """Returns an axis, (width,).

        Raises:
            DegenerateError: the readings do not determine one.
        """
        ...


def direction_along_axes(
    method: str,
    find_axis: FindAxis,
    positive: NDArray[np.float32],
    negative: NDArray[np.float32],
) -> Direction:
    """Applies a method after every block; its axes give the unit vectors, the class means their signs.

    The raw norm at block k is the separation ⟨Δ_k, û_k⟩ of the class means along û_k, with Δ_k = μ⁺ − μ⁻: a
    dose of one separation carries the negative mean's component to the positive one's. It is at most ‖Δ_k‖, and
    that where û_k is the difference in means. That it is positive orients û_k: the sign is that of the
    correlation between ⟨x, û⟩ and the class, and, in pairs, of the mean of their projected differences.

    Args:
        method: its name.
        find_axis: the method at one block.
        positive: readings of the positive prompts, (prompts, blocks, width).
        negative: the same for the negative prompts.

    Raises:
        SteergaugeError: the readings cannot be used, do not determine an axis, or the class means do not differ
            along it by more than float32 can tell.
    """
    require_readings(method, positive, negative)
    _, blocks, width = positive.shape
    vectors = np.empty((blocks, width), dtype=np.float32)
    separations = np.empty(blocks)
    for block in range(blocks):
        ours, theirs = positive[:, block].astype(np.float64), negative[:, block].astype(np.float64)
        difference, noise = ours.mean(axis=0) - theirs.mean(axis=0), float32_noise(ours, theirs)
        if np.linalg.norm(difference) <= noise:
            raise SteergaugeError(
                f"{method}: the two classes do not differ in their means after block {block}; "
                "the contrast set needs prompts that the model reads differently at the last token"
            )
        try:
            axis = find_axis(ours, theirs)
        except DegenerateError as reason:
            raise SteergaugeError(f"{method} after block {block}: {reason}") from None
        unit = axis / np.linalg.norm(axis)
        separation = float(difference @ unit)
        if abs(separation) <= noise:
            raise SteergaugeError(
                f"{method}: the classes' means do not differ along its axis after block {block} "
                f"(by {abs(separation):.1e}), so it has neither a sign nor a dose; use another method or contrast set"
            )
        vectors[block] = np.sign(separation) * unit
        separations[block] = abs(separation)
    return Direction(method, vectors, separations)


def require_readings(method: str, positive: NDArray[np.floating], negative: NDArray[np.floating]) -> None:
    """Refuses readings that no method can use.

    Raises:
        SteergaugeError: a class is empty, the shapes do not fit, or a number is not finite.
    """
    for name, readings in (("positive", positive), ("negative", negative)):
        if readings.ndim != 3:
            raise SteergaugeError(
                f"{method}: the {name} readings have the shape {readings.shape}; "
                "it must be (prompts, blocks, width)"
            )
        if len(readings) == 0:
            raise SteergaugeError(f"{method}: there are no {name} prompts; it needs both classes")
        finite = np.isfinite(readings).all(axis=(0, 2))
        if not finite.all():
            raise SteergaugeError(
                f"{method}: a reading of the {name} prompts after block {int(np.argmin(finite))} is not finite; "
                "load the model in a wider precision"
            )
    if positive.shape[1:] != negative.shape[1:]:
        raise SteergaugeError(
            f"{method}: the positive readings are of {positive.shape[1]} blocks of width {positive.shape[2]}, "
            f"the negative ones of {negative.shape[1]} of width {negative.shape[2]}; read both on one model"
        )


def require_pairs(method: str, positive: NDArray[np.floating], negative: NDArray[np.floating]) -> None:
    """Refuses classes of different sizes, for a method in which the i-th prompts of both are a pair.

    Raises:
        SteergaugeError: the numbers of prompts differ.
    """
    if len(positive) != len(negative):
        raise SteergaugeError(
            f"{method} reads pairs, and there are {len(positive)} positive and {len(negative)} negative prompts; "
            "give every prompt its counterpart, in the same order"
        )


def float32_noise(positive: Points, negative: Points) -> float:
    """The length below which a difference between readings may be the rounding of float32."""
    largest = max(np.linalg.norm(points, axis=1).max() for points in (positive, negative))
    return float(2 * np.finfo(np.float32).eps * largest)


def leading_axis(rows: NDArray[np.float64], noise: float = 0.0) -> NDArray[np.float64]:
    """The right singular vector of the largest singular value, uncentred: (width,).

    Args:
        rows: (rows, width).
        noise: the root-mean-square row length that may be rounding.

    Raises:
        DegenerateError: no axis stands out from the second by more than the noise.
    """
    _, lengths, axes = np.linalg.svd(rows, full_matrices=False)
    largest, second = lengths[0], lengths[1] if len(lengths) > 1 else 0.0
    if largest - second <= noise * np.sqrt(len(rows)):
        raise DegenerateError(
            f"no axis stands out (the two largest singular values are {largest:.3g} and {second:.3g})"
        )
    axis: NDArray[np.float64] = axes[0]
    return axis
