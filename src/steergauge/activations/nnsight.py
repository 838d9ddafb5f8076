"""Capture with nnsight: every block's output saved in one trace of a batch."""

from collections.abc import Sequence

import numpy as np
import torch

from steergauge.activations.activations import Activations
from steergauge.activations.batches import pick
from steergauge.activations.hidden_states import forward_inputs, own_copy
from steergauge.models.blocks import stream_of
from steergauge.models.extras import require_extra
from steergauge.models.loading import Model


def capture(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
    """Reads r_k at `positions`, counted from each prompt's end, for every block in one pass.

    nnsight replaces the forward of the modules that it wraps and leaves it so; they are a copy's here. It reads
    what a block's forward returns, before the block's forward hooks: a stream that such a hook changes is seen
    from the next block on.

    Returns:
        Activations of shape (prompts, blocks, positions, width).

    Raises:
        SteergaugeError: nnsight is not installed.
    """
    nnsight = require_extra("nnsight", "nnsight", "the capture backend nnsight")
    own = own_copy(model)
    network = nnsight.NNsight(own.module)
    blocks = network.get(own.blocks.path)
    batches = []
    for inputs in forward_inputs(own, prompts):
        with torch.inference_mode(), network.trace(**inputs):
            outputs = nnsight.save([block.output for block in blocks])
        batches.append(pick([stream_of(output) for output in outputs], positions))
    return Activations(np.concatenate(batches), tuple(positions))
