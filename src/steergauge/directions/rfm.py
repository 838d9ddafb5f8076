"""RFM, the recursive feature machine (Radhakrishnan et al. 2024; Beaglehole et al. 2025; methods.md §5).

The `xrfm` package is not used: it keeps M as a dense width × width matrix with a matrix root in every round, in
float32, and needs a validation set, where there are ten prompts and a width of thousands.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import roc_auc_score

from steergauge.directions.axes import DegenerateError, Points, direction_along_axes, leading_axis
from steergauge.directions.direction import Direction

ROUNDS = 8
RIDGE = 1e-3  # λ
BANDWIDTHS = (1.0, 10.0, 100.0)  # L, in units of the residual stream

Array = NDArray[np.float64]


def recursive_feature_machine(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> Direction:
    """The top eigenvector of M, the mean outer product of a kernel machine's gradients, fed back to its kernel.

    The machine f(z) = Σ a_i·K(x_i, z), with K(x, z) = exp(−‖x − z‖_M / L) and a = (K + λI)⁻¹y, y = 1 for the
    positive class and 0 for the other, is fitted in the metric M, at first I. Then M = Σ_j ∇f(x_j)∇f(x_j)ᵀ over
    its largest entry, and again, eight rounds. It sees what no mean shows: classes that differ in spread.

    The bandwidth L is chosen by the AUC of the last machine's leave-one-out predictions, for there are too few
    prompts to set some aside. M has seen the prompt that is left out, so that AUC ranks bandwidths and measures
    nothing else. On a tie, which separable classes give, the smoothest machine (largest L) is taken.

    Args:
        positive: readings of the positive prompts at their last token, (prompts, blocks, width).
        negative: the same for the negative prompts.

    Raises:
        SteergaugeError: the readings at a block lie too far apart for every bandwidth, or the classes'
            means agree along the axis, which then has no sign.
    """
    return direction_along_axes("rfm", _axis, positive, negative)


class _Machine(NamedTuple):
    """What one bandwidth learned: F of M = FFᵀ, (width, prompts), and the AUC of the machine in that metric."""

    factor: Array
    auc: float


def _axis(positive: Points, negative: Points) -> Array:
    points = np.concatenate([positive, negative])
    points -= points.mean(axis=0)  # changes no distance
    labels = np.repeat([1.0, 0.0], [len(positive), len(negative)])
    learned = [_learn(points, labels, bandwidth) for bandwidth in sorted(BANDWIDTHS, reverse=True)]
    machines = [machine for machine in learned if machine is not None]
    if not machines:
        raise DegenerateError(
            f"the gradients vanish at every bandwidth {BANDWIDTHS}: the readings lie too far apart"
        )
    return leading_axis(max(machines, key=lambda machine: machine.auc).factor.T)


def _learn(points: Array, labels: Array, bandwidth: float) -> _Machine | None:
    """Eight rounds at one bandwidth, or None where the gradients vanish.

    Every gradient is M times a vector, so after the first round M = FFᵀ with one column of F a prompt: neither
    M nor the span of the prompts is ever formed, and a round costs prompts² × width.
    """
    factor: Array | None = None  # M = I
    for _ in range(ROUNDS):
        gradients = _gradients(points, labels, bandwidth, factor)
        # The largest entry of a positive semidefinite matrix is on its diagonal.
        largest = np.sum(gradients**2, axis=0).max()
        if not largest > 0:
            return None
        factor = gradients.T / np.sqrt(largest)
    if factor is None:
        return None
    distances = _distances(points @ factor)
    inverse = np.linalg.inv(np.exp(-distances / bandwidth) + RIDGE * np.eye(len(points)))
    left_out = labels - inverse @ labels / np.diag(inverse)  # kernel ridge's leave-one-out predictions
    return _Machine(factor, float(roc_auc_score(labels, left_out)))


def _gradients(points: Array, labels: Array, bandwidth: float, factor: Array | None) -> Array:
    """∇f at every prompt, (prompts, width): −Σ_i a_i·K(x_i, z)/(L·‖z − x_i‖_M)·M(z − x_i)."""
    mapped = points if factor is None else points @ factor  # ‖x − z‖_M is the distance of mapped points
    distances = _distances(mapped)
    kernel = np.exp(-distances / bandwidth)
    coefficients = np.linalg.solve(kernel + RIDGE * np.eye(len(points)), labels)
    apart = distances > 0
    pulls = np.zeros_like(kernel)  # [i, j]: what x_i does at x_j, 0 at coincident points
    pulls[apart] = kernel[apart] / (bandwidth * distances[apart])
    pulls *= coefficients[:, None]
    moved: Array = pulls.T @ mapped - pulls.sum(axis=0)[:, None] * mapped
    return moved if factor is None else moved @ factor.T


def _distances(mapped: Array) -> Array:
    """Distances between all rows, those that are only rounding set to 0."""
    distances: Array = squareform(pdist(mapped))
    distances[distances <= 1e-12 * distances.max()] = 0.0
    return distances
