"""Capture with TransformerLens' bridge: `hook_resid_post` of every block."""

import copy
import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from steergauge.activations.activations import Activations
from steergauge.activations.batches import pick
from steergauge.activations.hidden_states import forward_inputs
from steergauge.models.extras import require_extra
from steergauge.models.loading import Model


def capture(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
    """Reads r_k at `positions`, counted from each prompt's end, for every block in one pass.

    The bridge takes the model that it wraps apart, switches its attention to the eager kernels and, for some
    families, rewrites weights: it gets a copy of everything, so memory for the weights is needed twice.

    Returns:
        Activations of shape (prompts, blocks, positions, width).

    Raises:
        SteergaugeError: TransformerLens is not installed.
    """
    lens = require_extra("transformer_lens", "transformer-lens", "the capture backend transformer_lens")
    with _installing_nothing():
        bridge = lens.TransformerBridge.boot_transformers(
            str(model.checkpoint.folder),
            hf_model=copy.deepcopy(model.module),
            tokenizer=copy.deepcopy(model.tokenizer),
            device=model.device,
            dtype=model.precision.dtype,
        )
    names = [f"blocks.{block}.hook_resid_post" for block in range(len(model.blocks))]
    batches = []
    for inputs in forward_inputs(model, prompts):
        with torch.inference_mode():
            _, cache = bridge.run_with_cache(
                inputs.pop("input_ids"), return_type=None, names_filter=names, **inputs
            )
        batches.append(pick([cache[name] for name in names], positions))
    return Activations(np.concatenate(batches), tuple(positions))


@contextmanager
def _installing_nothing() -> Iterator[None]:
    """Keeps TransformerLens from calling pip.

    Booting a model that also takes images, it installs torchvision where that is missing, into the environment
    that it runs in, and with it whatever torch pip finds newest.
    """
    helpers: Any = importlib.import_module("transformer_lens.model_bridge.sources.transformers.helpers")
    install = helpers._ensure_torchvision
    helpers._ensure_torchvision = lambda: False
    try:
        yield
    finally:
        helpers._ensure_torchvision = install
