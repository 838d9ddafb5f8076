"""The means of the two classes that a direction was read from."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class ClassMeans(NamedTuple):
    """After every block: the negative class's mean μ⁻_k and Δ_k = μ⁺_k − μ⁻_k, each (blocks, width)."""

    negative: NDArray[np.float64]
    difference: NDArray[np.float64]


def class_means(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> ClassMeans:
    """The means of readings at the last token, each (prompts, blocks, width)."""
    means = negative.mean(axis=0, dtype=np.float64)
    return ClassMeans(means, positive.mean(axis=0, dtype=np.float64) - means)
