"""The table of extraction methods."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.dim import difference_in_means
from steergauge.directions.direction import Direction
from steergauge.errors import SteergaugeError, nearest


class Method(Protocol):
    """Turns the readings of two classes, each (prompts, blocks, width), into a direction."""

    def __call__(self, positive: NDArray[np.float32], negative: NDArray[np.float32]) -> Direction:
        """Extracts one unit vector a block."""
        ...


METHODS: dict[str, Method] = {
    "dim": difference_in_means,
}


def find_method(name: str) -> Method:
    """The extraction method of that name.

    Raises:
        SteergaugeError: there is none; the near names are given.
    """
    if name not in METHODS:
        raise SteergaugeError(f"no extraction method {name!r}; {nearest(name, METHODS)}")
    return METHODS[name]
