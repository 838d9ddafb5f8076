"""DIM, the difference in means (the study, section 3; Arditi et al. 2024, equation 1; methods.md §1)."""

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.axes import require_readings
from steergauge.directions.direction import Direction, direction_from_differences


def difference_in_means(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> Direction:
    """û_k = Δ_k / ‖Δ_k‖ with Δ_k = mean of the positive class − mean of the negative class, at every block.

    Args:
        positive: readings of the positive prompts at their last token, (prompts, blocks, width).
        negative: the same for the negative prompts.

    Raises:
        SteergaugeError: a class is empty, or the means of the classes are equal at a block.
    """
    require_readings("dim", positive, negative)
    difference = positive.mean(axis=0, dtype=np.float64) - negative.mean(axis=0, dtype=np.float64)
    return direction_from_differences("dim", difference)
