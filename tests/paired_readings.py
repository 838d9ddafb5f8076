"""Readings of pairs with planted differences, of one kind or of several."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Readings = NDArray[np.float32]
Array = NDArray[np.float64]


def orthonormal(rows: int, width: int, seed: int) -> Array:
    """Rows of a random orthogonal matrix, (rows, width)."""
    return np.linalg.qr(np.random.default_rng([seed, 1]).normal(size=(width, rows))).Q.T


def planted_pairs(
    lengths: Sequence[float],
    *,
    pairs: int,
    width: int = 64,
    noise: float = 0.2,
    topics: float = 0.0,
    seed: int = 0,
) -> tuple[Readings, Readings, Array]:
    """Pair i differs along axis i modulo their number, by that axis's length.

    Returns:
        Positive and negative readings at one block, (pairs, 1, width), and the axes, (kinds, width).
    """
    rng = np.random.default_rng(seed)
    axes = orthonormal(len(lengths) + 3, width, seed)
    planted, nuisance = axes[: len(lengths)], axes[len(lengths) :]

    def prompts() -> Array:
        return noise * rng.normal(size=(pairs, width)) + topics * rng.normal(size=(pairs, 3)) @ nuisance

    kinds = np.arange(pairs) % len(lengths)
    positive = prompts() + np.array(lengths)[kinds, None] * planted[kinds]
    return positive[:, None].astype(np.float32), prompts()[:, None].astype(np.float32), planted


def turned(readings: Readings, seed: int = 0, constant: float = 0.0) -> Readings:
    """The same in other coordinates, and moved by one constant vector."""
    width = readings.shape[-1]
    moved = readings.astype(np.float64) @ orthonormal(width, width, seed)
    return (moved + constant * np.random.default_rng(seed).normal(size=width)).astype(np.float32)
