"""One forward pass under steering, with the stream read by hooks of the tests' own."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from steergauge.directions.random import random_unit_vector
from steergauge.models.loading import Model
from steergauge.steering.intervention import Intervention
from steergauge.steering.operation import Operation
from steergauge.steering.steering import Steering
from tiny import record


class Pass(NamedTuple):
    """What a pass left behind: streams (blocks, rows, tokens, width) and logits (rows, vocabulary)."""

    streams: Tensor
    logits: Tensor
    mask: Tensor


def steered_pass(model: Model, prompts: Sequence[str], steerings: Sequence[Steering]) -> Pass:
    """Runs each prompt under its steering, in one batch."""
    encoding = model.template.encode(list(prompts), model.device)
    intervention = Intervention(steerings, model.device)
    with torch.inference_mode(), intervention.attached(model.blocks):
        _, leaving, stop = record(list(model.blocks.modules))  # after the intervention's hooks
        try:
            logits = model.forward(encoding["input_ids"], encoding["attention_mask"])
        finally:
            stop()
    return Pass(torch.stack(leaving), logits, encoding["attention_mask"])


def example(
    model: Model, first_block: int, coefficients: float | Sequence[float], operation: Operation, seed: int
) -> Steering:
    """A steering along a random vector, with one coefficient or one for each block from the first on."""
    values = np.zeros(len(model.blocks))
    values[first_block:] = coefficients
    return Steering(random_unit_vector(model.blocks.width, seed), values, first_block, operation)
