"""The quantisation types of GGUF files that gguf-py can round to."""

from dataclasses import dataclass

import torch
from gguf import GGMLQuantizationType
from gguf.quants import dequantize, quantize
from torch import Tensor, nn

from steergauge.models.quantization import Quantization


class RoundedLinear(nn.Linear):
    """A linear layer whose weights are those that a GGUF file of one type would give back."""

    def __init__(self, linear: nn.Linear, kind: GGMLQuantizationType) -> None:
        super().__init__(linear.in_features, linear.out_features, bias=False, device="meta")
        packed = quantize(linear.weight.data.float().cpu().numpy(), kind)
        rounded = torch.from_numpy(dequantize(packed, kind)).to(linear.weight)
        self.kind = kind
        self.weight, self.bias = nn.Parameter(rounded, requires_grad=False), linear.bias


@dataclass(frozen=True)
class GGUFType(Quantization):
    """One of llama.cpp's types: weights are rounded to it and kept in the model's precision.

    What is measured is the format, not llama.cpp's arithmetic, which rounds activations to 8 bits too.
    """

    kind: GGMLQuantizationType

    package = "gguf"
    devices = ("cpu", "cuda", "mps")

    def require(self) -> None:
        """Nothing is missing: steergauge itself needs gguf."""

    def quantize(self, linear: nn.Linear, device: str) -> nn.Linear:
        """A layer with rounded weights."""
        return RoundedLinear(linear, self.kind).to(device).eval()

    def stored(self, layer: nn.Module) -> tuple[Tensor, ...] | None:
        """The rounded weights as they are computed with, not packed."""
        if not isinstance(layer, RoundedLinear) or layer.kind is not self.kind:
            return None
        return (layer.weight,)
