"""PCA reading vectors, the two of repeng (Zou et al. 2023; methods.md §5)."""

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.axes import (
    Points,
    direction_along_axes,
    float32_noise,
    leading_axis,
    require_pairs,
)
from steergauge.directions.direction import Direction


def pca_of_differences(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> Direction:
    """`pca_diff`: the first principal component of δ_i = x_i⁺ − x_i⁻, repeng's default.

    PCA subtracts the mean of the δ_i, which is the mean difference between the classes: what is left is how the
    pairs differ in their differences. Where all differ alike there is nothing left, an error.

    Args:
        positive: readings of the positive prompts at their last token, (prompts, blocks, width).
        negative: the same for their counterparts, in the same order.

    Raises:
        SteergaugeError: the prompts are not pairs, or no axis stands out at a block.
    """
    require_pairs("pca_diff", positive, negative)
    return direction_along_axes("pca_diff", _axis_of_differences, positive, negative)


def pca_of_centred_pairs(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> Direction:
    """`pca_center`: the first principal component of the prompts, each pair centred on its midpoint: ±δ_i/2.

    Their mean is zero, so PCA subtracts nothing: it is the axis of `svd`.

    Args:
        positive: readings of the positive prompts at their last token, (prompts, blocks, width).
        negative: the same for their counterparts, in the same order.

    Raises:
        SteergaugeError: the prompts are not pairs, or no axis stands out at a block.
    """
    require_pairs("pca_center", positive, negative)
    return direction_along_axes("pca_center", _axis_of_centred_pairs, positive, negative)


def _axis_of_differences(positive: Points, negative: Points) -> NDArray[np.float64]:
    return _first_component(positive - negative, float32_noise(positive, negative))


def _axis_of_centred_pairs(positive: Points, negative: Points) -> NDArray[np.float64]:
    midpoints = (positive + negative) / 2
    centred = np.concatenate([positive - midpoints, negative - midpoints])
    return _first_component(centred, float32_noise(positive, negative))


def _first_component(rows: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
    return leading_axis(rows - rows.mean(axis=0), noise)
