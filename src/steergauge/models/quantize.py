"""Quantising the linear layers of a model's blocks, and counting what came of it."""

from collections.abc import Iterator
from typing import Any

from torch import nn

from steergauge.errors import SteergaugeError
from steergauge.models.blocks import Blocks
from steergauge.models.precision import Precision
from steergauge.models.quantization import Quantization, Quantized


def quantize_blocks(model: nn.Module, blocks: Blocks, quantization: Quantization, device: str) -> None:
    """Puts a quantised layer in place of every linear layer of the blocks, one after another.

    Embeddings, norms and the output head stay as they are, and where they are.

    Args:
        model: with its weights in the precision of its stream.
        blocks: where its linear layers are; they stay its blocks.
        quantization: the format.
        device: where the layers go.

    Raises:
        SteergaugeError: a block has weights in something other than linear layers, which would not be
            quantised, or a layer whose shape the format does not have.
    """
    paths = []
    for path, module in _with_matrices(model, blocks):
        if type(module) is not nn.Linear or not module.weight.is_floating_point():
            raise SteergaugeError(
                f"{quantization.name} cannot be had of {type(model).__name__}: {path} keeps its weights in "
                f"{type(module).__name__}, not in a linear layer, and would not be quantised"
            )
        if module.in_features % quantization.group:
            raise SteergaugeError(
                f"{quantization.name} cannot be had of {type(model).__name__}: {path} has {module.in_features} "
                f"inputs, and they must be a multiple of {quantization.group}"
            )
        paths.append(path)
    for path in paths:
        linear = model.get_submodule(path)
        assert isinstance(linear, nn.Linear)
        # The weights in full go as soon as their layer is replaced.
        model.set_submodule(path, quantization.quantize(linear, device))


def count_quantized(
    model: nn.Module, blocks: Blocks, quantization: Quantization, precision: Precision, of_weights: int
) -> Quantized:
    """Looks at every layer of the blocks for what holds its weights.

    Args:
        model: quantised, after a forward pass: some libraries arrange weights anew at the first one.
        blocks: that were quantised.
        quantization: the format that they should be in.
        precision: of all else.
        of_weights: how many weights the model had in all.

    Raises:
        SteergaugeError: a layer is not in the format.
    """
    layers, weights, held = 0, 0, 0
    for path, module in _with_matrices(model, blocks):
        stored = quantization.stored(module)
        if stored is None:
            raise SteergaugeError(
                f"{path} of {type(model).__name__} is not in {quantization.name} after quantising, so nothing "
                f"would be measured of it: report it, with {quantization.library}"
            )
        layers += 1
        weights += module.in_features * module.out_features
        held += sum(tensor.nbytes for tensor in stored)
    return Quantized(
        quantization=quantization,
        layers=layers,
        weights=weights,
        of_weights=of_weights,
        bytes=held,
        computes_in=quantization.computes_in(precision),
    )


def _with_matrices(model: nn.Module, blocks: Blocks) -> Iterator[tuple[str, Any]]:
    """The modules of the blocks that hold weights of two dimensions or more themselves, by their paths."""
    for path, module in model.named_modules():
        inside = path.startswith(f"{blocks.path}.")
        if inside and any(weight.ndim > 1 for weight in module.parameters(recurse=False)):
            yield path, module
