"""Readings of single attention heads, at the input of each block's o_proj."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from steergauge.activations.batches import encode_in_batches, pick
from steergauge.models.loading import Model


def capture_heads(model: Model, prompts: Sequence[str]) -> NDArray[np.float32]:
    """Reads every head's output at each prompt's last token: (prompts, blocks, heads, head width).

    Raises:
        SteergaugeError: the model's heads are not found.
    """
    heads = model.heads
    batches = []
    for encoding in encode_in_batches(model, prompts):
        with torch.inference_mode(), _reading_inputs(heads.modules) as inputs:
            model.forward(encoding["input_ids"], encoding["attention_mask"])
        batches.append(pick([inputs[module] for module in heads.modules], (-1,)))
    return np.concatenate(batches).reshape(len(prompts), len(heads.modules), heads.count, heads.width)


@contextmanager
def _reading_inputs(modules: Sequence[nn.Module]) -> Iterator[dict[nn.Module, Tensor]]:
    """What enters each module while the context is open, the last time that it runs."""
    read: dict[nn.Module, Tensor] = {}

    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        read[module] = inputs[0]

    handles = [module.register_forward_pre_hook(hook) for module in modules]
    try:
        yield read
    finally:
        for handle in handles:
            handle.remove()
