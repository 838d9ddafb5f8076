"""The quantisations of torchao: integer weights, dequantised for every product."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from steergauge.models.extras import require_extra
from steergauge.models.quantization import Quantization

_INT4: torch.dtype = torch.int4  # type: ignore[attr-defined]  # missing from its stubs


@dataclass(frozen=True)
class IntegerWeights(Quantization):
    """Symmetric integers of 8 bits with a scale a row, or of 4 bits with a scale a group.

    The 4 bits are those of `IntxWeightOnlyConfig`, which runs everywhere and keeps them in a byte each;
    `Int4WeightOnlyConfig` has no kernel for processors.
    """

    bits: Literal[4, 8]

    package = "torchao"
    devices = ("cpu", "cuda")

    def require(self) -> None:
        """Raises a SteergaugeError that names the extra where torchao is not installed."""
        self._library()

    def quantize(self, linear: nn.Linear, device: str) -> nn.Linear:
        """The same layer with a weight of torchao's."""
        library = self._library()
        config = (
            library.Int8WeightOnlyConfig(set_inductor_config=False)  # settings of the whole process
            if self.bits == 8
            else library.IntxWeightOnlyConfig(weight_dtype=_INT4, granularity=library.PerGroup(self.group))
        )
        library.quantize_(linear.to(device), config)
        return linear.eval()

    def stored(self, layer: nn.Module) -> tuple[Tensor, ...] | None:
        """The integers in a byte each, their scales and zero points."""
        library, weight = self._library(), layer.weight
        kind = library.Int8Tensor if self.bits == 8 else library.IntxUnpackedToInt8Tensor
        if not isinstance(weight, kind) or (self.bits == 4 and weight.target_dtype != _INT4):
            return None
        return tuple(getattr(weight, name) for name in weight.__tensor_flatten__()[0])

    def _library(self) -> Any:
        return require_extra("torchao", "torchao", f"the precision {self.name}").quantization
