"""CAA, contrastive activation addition (Rimsky et al. 2024; methods.md §5)."""

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.axes import require_pairs, require_readings
from steergauge.directions.direction import Direction, direction_from_differences


def mean_paired_difference(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> Direction:
    """The mean of x_i⁺ − x_i⁻, whose length is kept as the raw norm: CAA adds the vector as long as it is.

    A mean of differences is the difference of the means, so the vector is DIM's. What makes CAA is how it steers:
    at one block, after the instruction, with multiples of the raw norm (`separation` doses).

    Args:
        positive: readings of the positive prompts at their last token, (prompts, blocks, width).
        negative: the same for their counterparts, in the same order.

    Raises:
        SteergaugeError: the prompts are not pairs, or their mean difference at a block is zero.
    """
    require_readings("caa", positive, negative)
    require_pairs("caa", positive, negative)
    differences = np.subtract(positive, negative, dtype=np.float64)  # (prompts, blocks, width)
    return direction_from_differences("caa", differences.mean(axis=0))
