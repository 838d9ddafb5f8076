"""The table of quantisations, and what `--precision` asks for."""

from typing import NamedTuple

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from steergauge.errors import SteergaugeError, nearest
from steergauge.models.bitsandbytes import FourBit, LLMInt8
from steergauge.models.gguf_types import GGUFType
from steergauge.models.precision import Precision, resolve_precision
from steergauge.models.quantization import Quantization
from steergauge.models.torchao import IntegerWeights


def _gguf_type(kind: GGMLQuantizationType) -> GGUFType:
    block, size = GGML_QUANT_SIZES[kind]
    words = f"GGUF {kind.name}, blocks of {block}, {8 * size / block:g} bits a weight"
    return GGUFType(f"gguf-{kind.name.lower()}", words, block, kind)


QUANTIZATIONS: dict[str, Quantization] = {
    one.name: one
    for one in (
        # A number of inputs that 4 does not divide would be computed in float32 on CUDA.
        LLMInt8("int8-bitsandbytes", "LLM.int8, a float32 scale a row", 4),
        FourBit("nf4-bitsandbytes", "4-bit NormalFloat, a float32 scale for 64 weights", 64, "nf4"),
        FourBit("fp4-bitsandbytes", "4-bit float, a float32 scale for 64 weights", 64, "fp4"),
        IntegerWeights("int8-torchao", "8-bit integers, a scale a row", 1, 8),
        IntegerWeights("int4-torchao", "4-bit integers, a scale for 32 weights", 32, 4),
        _gguf_type(GGMLQuantizationType.Q8_0),
        _gguf_type(GGMLQuantizationType.Q5_1),
        _gguf_type(GGMLQuantizationType.Q5_0),
        _gguf_type(GGMLQuantizationType.Q4_1),
        _gguf_type(GGMLQuantizationType.Q4_0),
    )
}


class Format(NamedTuple):
    """How a model is kept: its precision, and the quantisation of its blocks' linear weights, if any."""

    precision: Precision
    quantization: Quantization | None


def resolve_format(name: str, device: str) -> Format:
    """What `--precision` asks for on a device.

    Args:
        name: `auto`, a precision, a quantisation, or a quantisation and the precision of all else, as in
            `nf4-bitsandbytes/float32`; without one it is that of `auto`.
        device: where the model will run.

    Raises:
        SteergaugeError: there is no such precision or quantisation, the device has no such quantisation, or
            its package is not installed.
    """
    first, slash, rest = name.partition("/")
    if first not in QUANTIZATIONS:
        known = ["auto", *Precision]
        if slash or first not in known:
            raise SteergaugeError(f"no precision {name!r}; {nearest(first, [*known, *QUANTIZATIONS])}")
        return Format(resolve_precision(name, device), None)
    quantization = QUANTIZATIONS[first]
    if device.partition(":")[0] not in quantization.devices:
        raise SteergaugeError(
            f"{first} does not run on {device}, only on {' and '.join(quantization.devices)}: use --device cpu "
            "or a precision that runs there"
        )
    precision = resolve_precision(rest if slash else "auto", device)
    quantization.require()
    return Format(precision, quantization)
