"""SVD reading vector: the top singular vector of the paired differences (steering-vectors; methods.md §5).

It also stands for the "simplified COSMIC" of the study, whose text calls COSMIC based on SVD (methods.md §2.2).
"""

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


def top_singular_vector(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> Direction:
    """v_1 of [δ, −δ], uncentred, signed by the mean of δ·v; δ_i = x_i⁺ − x_i⁻, the i-th prompts being a pair.

    Args:
        positive: readings of the positive prompts at their last token, (prompts, blocks, width).
        negative: the same for their counterparts, in the same order.

    Raises:
        SteergaugeError: the prompts are not pairs, or no axis stands out at a block.
    """
    require_pairs("svd", positive, negative)
    return direction_along_axes("svd", _axis, positive, negative)


def _axis(positive: Points, negative: Points) -> NDArray[np.float64]:
    # The rows −δ, which keep a centred PCA from subtracting the mean, leave singular vectors as they are.
    return leading_axis(positive - negative, float32_noise(positive, negative))
