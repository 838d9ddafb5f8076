"""How much of a dose survives the precision of the stream (methods.md §4)."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from steergauge.models.precision import Precision
from steergauge.steering.intervention import Intervention
from steergauge.steering.steering import Steering


class Rounding(NamedTuple):
    """Share of coordinates that lost what was added to them; share of the dose delivered along û."""

    coordinates_lost: float
    delivered: float


def rounding(streams: NDArray[np.float32], steering: Steering, precision: Precision) -> Rounding:
    """Steers real streams at the first block in the model's own precision, and looks at what arrived.

    Args:
        streams: r_l of unsteered prompts at the first steered block, (prompts, width).
        steering: what is done; where nothing is added nothing is lost.
        precision: the format that the stream is kept in.
    """
    before = torch.from_numpy(streams).to(precision.dtype)
    change = Intervention([steering], "cpu").change(steering.first_block, before[None])[0]
    asked = change.expand(before.shape)  # (prompts, width)
    if not asked.any():
        return Rounding(0.0, 1.0)
    arrived = (before + asked.to(precision.dtype)).double() - before.double()
    lost = (arrived[asked != 0] == 0).double().mean()
    unit = torch.from_numpy(steering.vector).double()
    along = asked.double() @ unit  # (prompts,); of either sign where a component is set
    return Rounding(float(lost), float((arrived @ unit) @ along.sign() / along.abs().sum()))
