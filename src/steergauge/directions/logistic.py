"""Logistic probe: the normal of the boundary that separates the classes best (methods.md §5)."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from steergauge.directions.axes import Points, direction_along_axes
from steergauge.directions.direction import Direction

C = 1.0
"""How much the likelihood counts against ½‖w‖², for readings of unit mean square per coordinate."""


def logistic_probe(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> Direction:
    """The w of P(positive | x) = 1/(1 + exp(−w·x − b)), fitted with an L2 penalty on w and none on b.

    Readings are centred and divided by one number, the root mean square of all their coordinates. So the stream's
    unit, which grows by orders of magnitude over the blocks, does not change the penalty's strength, and
    the geometry in which û is added stays as it is (a scale for every coordinate would turn it).

    With many prompts the penalty vanishes and w goes to Σ⁻¹Δ for Gaussian classes. With fewer prompts than
    dimensions any classes are separable: the penalty then chooses, near the boundary of the widest margin.

    Args:
        positive: readings of the positive prompts at their last token, (prompts, blocks, width).
        negative: the same for the negative prompts.

    Raises:
        SteergaugeError: the classes' means do not differ at a block, or not along w.
    """
    return direction_along_axes("logistic", _axis, positive, negative)


def _axis(positive: Points, negative: Points) -> NDArray[np.float64]:
    points = np.concatenate([positive, negative])
    points -= points.mean(axis=0)
    scale = np.sqrt(np.mean(points**2))  # not 0, for the classes' means differ
    # The penalised w lies in the span of the prompts: in coordinates of that span the fit is the same and small.
    sides, lengths, axes = np.linalg.svd(points / scale, full_matrices=False)
    labels = np.repeat([1, 0], [len(positive), len(negative)])
    probe = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-8)
    weights: NDArray[np.float64] = probe.fit(sides * lengths, labels).coef_[0] @ axes
    return weights
