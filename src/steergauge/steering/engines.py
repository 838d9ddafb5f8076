"""The engines by name, and which one runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import NamedTuple, Protocol

from steergauge.errors import SteergaugeError, nearest
from steergauge.models.loading import Model
from steergauge.steering.engine import Engine
from steergauge.steering.torch_engine import TorchEngine
from steergauge.steering.vllm_engine import VllmEngine, is_installed


class EngineName(StrEnum):
    """What runs the model: the reference, the fast one, or whichever suits."""

    AUTO = "auto"
    TORCH = "torch"
    VLLM = "vllm"


class EngineChoice(NamedTuple):
    """An engine, why it runs, and over how many devices it splits each matrix: more than one for vllm alone."""

    name: EngineName
    why: str
    tensor_parallel: int = 1


def choose_engine(
    asked: str, device: str, *, tensor_parallel: int = 1, steers_heads: bool = False, quantized: bool = False
) -> EngineChoice:
    """Which engine runs a model: for `auto`, vllm where it is installed and the model is on CUDA, else torch.

    Args:
        asked: a name.
        device: the model's.
        tensor_parallel: devices that each matrix is to be split over.
        steers_heads: whether single attention heads are to be steered, which vllm does not do.
        quantized: whether the model was quantised when it was loaded: vllm would load it as it was before.

    Raises:
        SteergaugeError: no such engine, or it does not do that.
    """
    if asked not in list(EngineName):
        raise SteergaugeError(f"no engine {asked!r}; {nearest(asked, list(EngineName))}")
    if tensor_parallel < 1:
        raise SteergaugeError(f"--tensor-parallel {tensor_parallel}: give 1 or more")
    name, why = _chosen(asked, device, steers_heads=steers_heads, quantized=quantized)
    if tensor_parallel > 1 and name is EngineName.TORCH:
        raise SteergaugeError(
            f"--tensor-parallel {tensor_parallel}: only vllm runs on several devices together, and torch was chosen "
            f"({why}); use --engine vllm, or leave it out"
        )
    return EngineChoice(name, why, tensor_parallel)


def _chosen(asked: str, device: str, *, steers_heads: bool, quantized: bool) -> tuple[EngineName, str]:
    """An engine's name and why it is chosen."""
    heads = "iti steers single attention heads, which vllm does not do"
    weights = "vllm would load the weights as they were before they were quantised"
    if asked == EngineName.VLLM and steers_heads:
        raise SteergaugeError(f"{heads}: use --engine torch, or leave iti out")
    if asked == EngineName.VLLM and quantized:
        raise SteergaugeError(f"{weights}: use --engine torch, or a --precision without quantisation")
    if asked != EngineName.AUTO:
        return EngineName(asked), "asked for"
    if steers_heads or quantized:
        return EngineName.TORCH, heads if steers_heads else weights
    if not device.startswith("cuda"):
        return EngineName.TORCH, f"the reference; the model is on {device}, not on CUDA"
    if not is_installed():
        return EngineName.TORCH, "the reference; vllm, which is faster on CUDA, is not installed"
    return EngineName.VLLM, "it is installed and the model is on CUDA"


class Cluster(Protocol):
    """Machines that engines run on."""

    def engine(
        self, choice: EngineChoice, model: Model, wave_rows: int | None, max_new_tokens: int
    ) -> Engine:
        """The engine there, whose outputs are those of the same engine here."""
        ...


@contextmanager
def running_engine(
    choice: EngineChoice,
    model: Model,
    wave_rows: int | None,
    max_new_tokens: int,
    *,
    cluster: Cluster | None = None,
) -> Iterator[Engine]:
    """The engine while the context is open.

    Args:
        choice: which one.
        model: what it runs.
        wave_rows: rows of a wave; None for the engine's own.
        max_new_tokens: for the estimate of memory.
        cluster: where it runs; None: in this process.

    Raises:
        SteergaugeError: it cannot run the model.
    """
    if cluster is not None:
        yield cluster.engine(choice, model, wave_rows, max_new_tokens)
        return
    if choice.name is EngineName.TORCH:
        yield TorchEngine(model, wave_rows, max_new_tokens)
        return
    engine = VllmEngine(model, wave_rows, max_new_tokens, {"tensor_parallel_size": choice.tensor_parallel})
    try:
        yield engine
    finally:
        engine.close()
