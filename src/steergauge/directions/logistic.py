"""Logistic probe: the normal of the boundary that separates the classes best (methods.md §5)."""

from typing import NamedTuple

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


class Probe(NamedTuple):
    """A fitted probe: the log odds of the positive class at x are axis·(x − centre)/scale + intercept.

    Attributes:
        axis: w, (width,), on readings that are centred and divided by the scale.
        intercept: b.
        centre: the mean of the readings it was fitted on, (width,).
        scale: the root mean square of their coordinates about it.
    """

    axis: NDArray[np.float64]
    intercept: float
    centre: NDArray[np.float64]
    scale: float

    def log_odds(self, points: Points) -> NDArray[np.float64]:
        """Those of the positive class, one a reading: (prompts,)."""
        odds: NDArray[np.float64] = (points - self.centre) / self.scale @ self.axis + self.intercept
        return odds


def fit_probe(positive: Points, negative: Points) -> Probe:
    """Fits w and b as `logistic_probe` says. Where all readings are equal w is 0."""
    points = np.concatenate([positive, negative])
    centre = points.mean(axis=0)
    points -= centre
    scale = float(np.sqrt(np.mean(points**2))) or 1.0
    # The penalised w lies in the span of the prompts: in coordinates of that span the fit is the same and small.
    sides, lengths, axes = np.linalg.svd(points / scale, full_matrices=False)
    labels = np.repeat([1, 0], [len(positive), len(negative)])
    fitted = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-8).fit(sides * lengths, labels)
    return Probe(fitted.coef_[0] @ axes, float(fitted.intercept_[0]), centre, scale)


def _axis(positive: Points, negative: Points) -> NDArray[np.float64]:
    return fit_probe(positive, negative).axis
