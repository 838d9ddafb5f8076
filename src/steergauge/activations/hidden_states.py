"""Capture with transformers' own `output_hidden_states`, and what the other backends share with it.

`hidden_states[k + 1]` is r_k for every block but the last: `hidden_states[N]` has already gone through the final
norm, so r_{N−1} is read where it enters that norm instead.

Transformers 5 fills `hidden_states` through hooks that it installs at the first such call and leaves in place; a
hook added later that changes the stream is not seen by them. So every call runs on modules of its own, without
the hooks of earlier calls: what is read is what the model computes now, and nothing is left in the model.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from steergauge.activations.activations import Activations
from steergauge.activations.batches import encode_in_batches, pick
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.models.precision import Precision


def capture(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
    """Reads r_k at `positions`, counted from each prompt's end, for every block in one pass.

    Returns:
        Activations of shape (prompts, blocks, positions, width).

    Raises:
        SteergaugeError: the model does not return one hidden state a block.
    """
    own = own_copy(model)
    normed: list[Tensor] = []  # what enters the final norm: r_{N−1}
    own.blocks.final_norm.register_forward_pre_hook(lambda _module, inputs: normed.append(inputs[0]))
    batches = [
        pick([*hidden[1:-1], normed.pop()], positions) for hidden in returned_hidden_states(own, prompts)
    ]
    return Activations(np.concatenate(batches), tuple(positions))


def returned_hidden_states(own: Model, prompts: Sequence[str]) -> Iterator[tuple[Tensor, ...]]:
    """What transformers returns for each batch: p_0 … p_{N−1} and final_norm(r_{N−1}), (rows, tokens, width) each.

    Args:
        own: an `own_copy`, since hooks stay on it.
        prompts: run in batches, padded on the left.

    Raises:
        SteergaugeError: the model does not return one hidden state a block.
    """
    _drop_recorders(own.module)
    for inputs in forward_inputs(own, prompts):
        with torch.inference_mode():
            hidden = own.module(**inputs, output_hidden_states=True).hidden_states
        if len(hidden) != len(own.blocks) + 1:
            raise SteergaugeError(
                f"{own.name} returns {len(hidden)} hidden states for {len(own.blocks)} blocks: "
                "capture with the backend hooks"
            )
        yield hidden


def own_copy(model: Model, precision: Precision | None = None) -> Model:
    """The model with modules of its own over the same weights, so that what a tool does to them stays there.

    Hooks that are on the model are on the copy too. Given a precision, the weights are cast copies.

    Raises:
        SteergaugeError: a precision was given, and the model is quantised, so that its weights cannot be cast.
    """
    if precision is not None and model.quantized is not None:
        raise SteergaugeError(
            f"the weights of {model.name} are in {model.quantized.quantization.name} and cannot be cast to "
            f"{precision}: load it in {' or '.join(Precision)}"
        )
    dtype = precision.dtype if precision else None
    tensors: dict[int, Any] = {id(buffer): buffer for buffer in model.module.buffers()}
    for weight in model.module.parameters():
        tensors[id(weight)] = weight if dtype is None else nn.Parameter(weight.to(dtype), requires_grad=False)
    # What deepcopy finds in its memo it takes instead of copying.
    module, blocks = copy.deepcopy((model.module, model.blocks), tensors)
    return replace(model, module=module, blocks=blocks, precision=precision or model.precision)


def forward_inputs(model: Model, prompts: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The prompts in batches, padded on the left, each as the arguments that `Model.forward` gives its module."""
    for encoding in encode_in_batches(model, prompts):
        yield model.arguments(encoding["input_ids"], encoding["attention_mask"]) | {"use_cache": False}


def _drop_recorders(module: nn.Module) -> None:
    """Removes the hooks of earlier calls with `output_hidden_states`, so that the next call installs them last."""
    for child in module.modules():
        for key, hook in list(child._forward_hooks.items()):
            if getattr(hook, "__module__", None) == "transformers.utils.output_capturing":
                del child._forward_hooks[key]
        child.__dict__.pop("_output_capturing_hooks_installed", None)
