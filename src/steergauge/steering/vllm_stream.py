"""Where the residual stream is in a model as vLLM runs it: layers that return (hidden, residual), or one tensor."""

from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from steergauge.errors import SteergaugeError

LayerOutput: TypeAlias = Tensor | tuple[Any, ...]


def decoder_layers(model: nn.Module, blocks: int) -> dict[int, nn.Module]:
    """The decoder layers that this process holds, by their number: under pipeline parallelism not all of them.

    Args:
        model: as vLLM loaded it; of a model that also sees or hears, its language model is searched.
        blocks: how many layers it has over all processes.

    Raises:
        SteergaugeError: there is not exactly one list of so many layers.
    """
    text: nn.Module = model.get_language_model() if hasattr(model, "get_language_model") else model  # type: ignore[operator]
    lists = [
        (path, module)
        for path, module in text.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == blocks
    ]
    # A list inside another's layer, as of experts, is none of its own.
    outer = [module for path, module in lists if not any(path.startswith(f"{other}.") for other, _ in lists)]
    if len(outer) != 1:
        raise SteergaugeError(
            f"vLLM's {type(model).__name__} has {len(outer)} lists of {blocks} layers where one was expected, so it "
            "cannot be steered there: use --engine torch"
        )
    # vLLM puts a placeholder without weights where another process holds the layer.
    return {index: layer for index, layer in enumerate(outer[0]) if any(True for _ in layer.parameters())}


def stream_parts(output: LayerOutput) -> tuple[Tensor, ...]:
    """What a layer returned that r_k is the sum of: one or two tensors (tokens, width).

    Raises:
        SteergaugeError: it is neither a tensor nor two of one shape.
    """
    match output:
        case Tensor():
            return (output,)
        case (Tensor() as hidden, Tensor() as residual) if hidden.shape == residual.shape:
            return hidden, residual
    kinds = ", ".join(type(part).__name__ for part in output)
    raise SteergaugeError(
        f"a decoder layer of vLLM returned ({kinds}) where (hidden, residual) or one tensor was expected, so the "
        "model cannot be steered there: use --engine torch"
    )


def residual_stream(output: LayerOutput) -> Tensor:
    """r_k, (tokens, width), in float32, which what a layer returned is the parts of."""
    return torch.stack([part.float() for part in stream_parts(output)]).sum(dim=0)


def plus(output: LayerOutput, addition: Tensor) -> LayerOutput:
    """What a layer returned, with something added to its stream; vLLM adds the residual to it later."""
    hidden, *residual = stream_parts(output)
    steered = hidden + addition.to(hidden.dtype)
    return (steered, *residual) if residual else steered
