"""What a head steering's dose comes to in the residual stream."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from steergauge.models.loading import Model
from steergauge.steering.head_steering import HeadSteering


class HeadDose(NamedTuple):
    """What a head steering writes to the stream, beside what other methods add to it.

    Attributes:
        norms: length of what the heads of each block add to the stream, (blocks,).
        raw: that of the block where it is most of the stream.
        relative: `raw` over R of that block.
        total_relative: length of the sum over all blocks, over R_{N−1}.
    """

    norms: NDArray[np.float64]
    raw: float
    relative: float
    total_relative: float


def written_to_stream(steering: HeadSteering, model: Model) -> NDArray[np.float64]:
    """What the additions of each block are once they have passed its o_proj, (blocks, width).

    Families that normalise the attention's output before it is added to the stream (Gemma 2 and 3, OLMo 2) add
    something else: there this is what enters that norm.
    """
    written = []
    for module, addition in zip(model.heads.modules, steering.additions, strict=True):
        entering = torch.from_numpy(addition).flatten().to(model.device, model.precision.dtype)
        with torch.inference_mode():
            # The module is linear but for its bias, whatever the layout of its weight.
            with_bias, bias = module(torch.stack([entering, torch.zeros_like(entering)])[None])[0].double()
        written.append((with_bias - bias).cpu().numpy())
    return np.stack(written)


def head_dose(steering: HeadSteering, model: Model, residual_norms: NDArray[np.float64]) -> HeadDose:
    """A head steering's dose in units of the stream, whose R_k are the `residual_norms`, (blocks,)."""
    written = written_to_stream(steering, model)
    norms = np.linalg.norm(written, axis=1)
    block = int(np.argmax(norms / residual_norms))
    return HeadDose(
        norms=norms,
        raw=float(norms[block]),
        relative=float(norms[block] / residual_norms[block]),
        total_relative=float(np.linalg.norm(written.sum(axis=0)) / residual_norms[-1]),
    )
