"""What a model's modules were given and gave back in one forward pass: what structure is read from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache


@dataclass
class Call:
    """One module's calls in a forward pass.

    Attributes:
        times: how many there were; the rest is of the last one.
        order: its place among the modules by when they first returned.
        entered: the first input.
        output: what it returned, or the first of it.
        given_cache: whether keys and values were among its inputs.
    """

    times: int
    order: int
    entered: Tensor
    output: Tensor
    given_cache: bool


def record_calls(model: nn.Module, input_ids: Tensor, *, use_cache: bool = False) -> dict[nn.Module, Call]:
    """Runs the model once on `input_ids` (1, tokens); the calls of every module that takes and gives a tensor."""
    calls: dict[nn.Module, Call] = {}

    def hook(module: nn.Module, inputs: tuple[Any, ...], keywords: Mapping[str, Any], output: Any) -> None:
        entered = inputs[0] if inputs else keywords.get("hidden_states")
        first = output[0] if isinstance(output, tuple) and output else output
        if isinstance(entered, Tensor) and isinstance(first, Tensor):
            times = calls[module].times + 1 if module in calls else 1
            cached = any(isinstance(value, Cache) for value in (*inputs, *keywords.values()))
            calls[module] = Call(times, len(calls), entered.clone(), first.clone(), cached)

    handles = [module.register_forward_hook(hook, with_kwargs=True) for module in model.modules()]
    try:
        with torch.inference_mode():
            model(input_ids=input_ids, use_cache=use_cache)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal, on whatever devices they are."""
    return one.shape == other.shape and torch.equal(one.to(other.device), other)
