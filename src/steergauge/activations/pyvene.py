"""Capture with pyvene: its own `CollectIntervention` at every block's output."""

import contextlib
import sys
from collections.abc import Sequence

import numpy as np
import torch

from steergauge.activations.activations import Activations
from steergauge.activations.batches import pick
from steergauge.activations.hidden_states import forward_inputs, own_copy
from steergauge.models.extras import require_extra
from steergauge.models.loading import Model


def capture(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
    """Reads r_k at `positions`, counted from each prompt's end, for every block in one pass.

    Before and after a pass pyvene removes every hook that it finds on the model, whoever put it there. It works
    on a copy here, and leaves the copy's hooks alone, so that it reads what the model computes with them.

    Returns:
        Activations of shape (prompts, blocks, positions, width).

    Raises:
        SteergaugeError: pyvene is not installed.
    """
    with contextlib.redirect_stdout(sys.stderr):  # it says there which of its own extras are missing
        pyvene = require_extra("pyvene", "pyvene", "the capture backend pyvene")
    own = own_copy(model)
    collecting = [
        {"component": f"{own.blocks.path}[{block}].output", "intervention": pyvene.CollectIntervention()}
        for block in range(len(own.blocks))
    ]
    intervenable = pyvene.IntervenableModel(collecting, model=own.module)
    intervenable._remove_forward_hooks = lambda: None
    batches = []
    for inputs in forward_inputs(own, prompts):
        rows, tokens = inputs["input_ids"].shape
        where = [[position % tokens for position in positions]] * rows
        with torch.inference_mode():
            (_, collected), _ = intervenable(inputs, unit_locations={"base": [where] * len(own.blocks)})
        batches.append(pick(collected, range(len(positions))))  # one (rows, positions, width) a block
    return Activations(np.concatenate(batches), tuple(positions))
