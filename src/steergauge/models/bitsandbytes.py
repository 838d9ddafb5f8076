"""The quantisations of bitsandbytes: LLM.int8 and the 4-bit formats of QLoRA."""

import logging
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from steergauge.errors import SteergaugeError
from steergauge.models.extras import require_extra
from steergauge.models.precision import Precision
from steergauge.models.quantization import Quantization

_OUTLIER = 6.0  # of the LLM.int8 paper, and of transformers


@dataclass(frozen=True)
class _Bitsandbytes(Quantization):
    package = "bitsandbytes"
    devices = ("cpu", "cuda")

    def require(self) -> None:
        self._library()

    def _library(self) -> Any:
        return require_extra("bitsandbytes", "bitsandbytes", f"the precision {self.name}")


@dataclass(frozen=True)
class LLMInt8(_Bitsandbytes):
    """LLM.int8 (Dettmers et al. 2022): products of int8, with the columns of outlying activations apart.

    A column that outlies in one row is apart for all rows of a batch, so a row's output depends on its batch.
    """

    def quantize(self, linear: nn.Linear, device: str) -> nn.Linear:
        """A layer of bitsandbytes, quantised as its weight is moved to the device."""
        library = self._library()
        # It would tell at every product that activations are rounded through float16.
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        layer: Any = library.nn.Linear8bitLt(
            linear.in_features,
            linear.out_features,
            bias=False,
            has_fp16_weights=False,
            threshold=_OUTLIER,
            device="meta",
        )
        layer.weight = library.nn.Int8Params(linear.weight.data, requires_grad=False).to(device)
        layer.bias = _bias(linear, device)
        quantized: nn.Linear = layer.eval()  # in training mode it would leave the activations as they are
        return quantized

    def stored(self, layer: Any) -> tuple[Tensor, ...] | None:
        """The int8 weights, and a scale a row."""
        if not isinstance(layer, self._library().nn.Linear8bitLt):
            return None
        # The first product moves them from the weight to the layer's state.
        holder = layer.state if layer.weight.SCB is None else layer.weight
        if layer.training or layer.state.has_fp16_weights or holder.SCB is None:
            return None
        return holder.CB, holder.SCB

    def computes_in(self, precision: Precision) -> str:
        """Activations are rounded too, but for the outliers."""
        return f"int8, activations of {_OUTLIER:g} and more in {precision}"


@dataclass(frozen=True)
class FourBit(_Bitsandbytes):
    """The 4-bit formats of QLoRA (Dettmers et al. 2023), dequantised for every product."""

    kind: Literal["nf4", "fp4"]

    def quantize(self, linear: nn.Linear, device: str) -> nn.Linear:
        """A layer of bitsandbytes, quantised as its weight is moved to the device."""
        library = self._library()
        options: dict[str, Any] = {"quant_type": self.kind, "compress_statistics": False}
        layer: Any = library.nn.Linear4bit(
            linear.in_features,
            linear.out_features,
            bias=False,
            compute_dtype=linear.weight.dtype,
            device="meta",
            **options,
        )
        layer.weight = library.nn.Params4bit(
            linear.weight.data, requires_grad=False, blocksize=self.group, module=layer, **options
        ).to(device)
        layer.bias = _bias(linear, device)
        # Where the processor has AVX-512's bfloat16 it would compute in that, whatever was asked.
        layer.support_avx512bf16_for_cpu = False
        quantized: nn.Linear = layer.eval()
        return quantized

    def stored(self, layer: Any) -> tuple[Tensor, ...] | None:
        """Two weights a byte, and a scale a block of them.

        Raises:
            SteergaugeError: the layer computes in bfloat16, whatever was asked.
        """
        if not isinstance(layer, self._library().nn.Linear4bit) or not layer.weight.bnb_quantized:
            return None
        state = layer.weight.quant_state
        if state.quant_type != self.kind:
            return None
        if getattr(state, "packing_format_for_cpu", False):
            raise SteergaugeError(
                f"{self.library} computes {self.name} in bfloat16 on this processor, whatever is asked: install "
                "the version that steergauge[bitsandbytes] brings"
            )
        return layer.weight.data, state.absmax


def _bias(linear: nn.Linear, device: str) -> nn.Parameter | None:
    """The bias where the quantised weights are; the full ones stay where they were."""
    return None if linear.bias is None else nn.Parameter(linear.bias.to(device), requires_grad=False)
