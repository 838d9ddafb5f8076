"""Which number format a model computes in. What was asked for is had, or is an error."""

from enum import StrEnum

import torch

from steergauge.errors import SteergaugeError, nearest


class Precision(StrEnum):
    """A floating-point format for weights and activations."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"

    @property
    def dtype(self) -> torch.dtype:
        """The format as torch knows it."""
        dtype: torch.dtype = getattr(torch, self.value)
        return dtype


def resolve_precision(name: str, device: str) -> Precision:
    """The precision that `name` asks for on a device; `auto` is bfloat16 where the processor computes in it.

    Raises:
        SteergaugeError: no such precision.
    """
    if name == "auto":
        return Precision.BFLOAT16 if _computes_in_bfloat16(device) else Precision.FLOAT32
    try:
        return Precision(name)
    except ValueError:
        known = ["auto", *Precision]
        raise SteergaugeError(f"no precision {name!r}; {nearest(name, known)}") from None


def resolve_device(name: str) -> str:
    """The device that `name` asks for; `auto` is CUDA where there is one.

    Raises:
        SteergaugeError: the device is not there.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = name.partition(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise SteergaugeError(f"no device {name!r}; {nearest(name, ['auto', 'cpu', 'cuda', 'mps'])}")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[kind]:
        raise SteergaugeError(f"the device {name!r} is not on this machine; use --device cpu")
    return name


def _computes_in_bfloat16(device: str) -> bool:
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Matrix tiles (AMX) make bfloat16 2.5 times as fast as float32; AVX-512's instructions for it, or none,
    # leave it slower than float32 (measured: 150 against 260 GFLOP/s on two cores).
    return device == "cpu" and bool(torch.cpu._is_amx_tile_supported())
