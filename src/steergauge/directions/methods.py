"""The table of extraction methods."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.caa import mean_paired_difference
from steergauge.directions.dim import difference_in_means
from steergauge.directions.direction import Direction
from steergauge.directions.logistic import logistic_probe
from steergauge.directions.mass_mean import whitened_mass_mean
from steergauge.directions.pca import pca_of_centred_pairs, pca_of_differences
from steergauge.directions.rfm import recursive_feature_machine
from steergauge.directions.svd import top_singular_vector
from steergauge.errors import SteergaugeError, nearest


class Method(Protocol):
    """Turns the readings of two classes, each (prompts, blocks, width), into a direction."""

    def __call__(self, positive: NDArray[np.float32], negative: NDArray[np.float32]) -> Direction:
        """Extracts one unit vector a block."""
        ...


METHODS: dict[str, Method] = {
    "dim": difference_in_means,
    "caa": mean_paired_difference,
    "pca_diff": pca_of_differences,
    "pca_center": pca_of_centred_pairs,
    "svd": top_singular_vector,
    "logistic": logistic_probe,
    "mass_mean_whitened": whitened_mass_mean,
    "rfm": recursive_feature_machine,
}


def find_method(name: str) -> Method:
    """The extraction method of that name.

    Raises:
        SteergaugeError: there is none; the near names are given.
    """
    if name not in METHODS:
        raise SteergaugeError(f"no extraction method {name!r}; {nearest(name, METHODS)}")
    return METHODS[name]
