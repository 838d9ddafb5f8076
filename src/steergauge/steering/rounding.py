"""How much of a dose survives the precision of the stream (methods.md §4)."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from steergauge.models.precision import Precision


class Rounding(NamedTuple):
    """Share of coordinates that lost what was added to them; share of the dose delivered along û."""

    coordinates_lost: float
    delivered: float


def rounding(
    streams: NDArray[np.float32], vector: NDArray[np.float32], amount: float, precision: Precision
) -> Rounding:
    """Adds `amount`·û to real streams in the model's own precision, and looks at what arrived.

    Args:
        streams: r_l of unsteered prompts, (prompts, width).
        vector: û, (width,).
        amount: α; at 0 nothing is lost.
        precision: the format that the stream is kept in.
    """
    if amount == 0:
        return Rounding(0.0, 1.0)
    before = torch.from_numpy(streams).to(precision.dtype)
    addition = (amount * torch.from_numpy(vector)).to(precision.dtype)
    arrived = ((before + addition).double() - before.double()).numpy()
    asked = vector != 0
    lost = (arrived[:, asked] == 0).mean()
    return Rounding(float(lost), float((arrived @ vector.astype(np.float64)).mean() / amount))
