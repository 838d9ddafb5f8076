"""The engines by name, and which one runs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

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
    """An engine and why it runs."""

    name: EngineName
    why: str


def choose_engine(
    asked: str, device: str, *, steers_heads: bool = False, quantized: bool = False
) -> EngineChoice:
    """Which engine runs a model: for `auto`, vllm where it is installed and the model is on CUDA, else torch.

    Args:
        asked: a name.
        device: the model's.
        steers_heads: whether single attention heads are to be steered, which vllm does not do.
        quantized: whether the model was quantised when it was loaded: vllm would load it as it was before.

    Raises:
        SteergaugeError: no such engine, or it does not do that.
    """
    if asked not in list(EngineName):
        raise SteergaugeError(f"no engine {asked!r}; {nearest(asked, list(EngineName))}")
    heads = "iti steers single attention heads, which vllm does not do"
    weights = "vllm would load the weights as they were before they were quantised"
    if asked == EngineName.VLLM and steers_heads:
        raise SteergaugeError(f"{heads}: use --engine torch, or leave iti out")
    if asked == EngineName.VLLM and quantized:
        raise SteergaugeError(f"{weights}: use --engine torch, or a --precision without quantisation")
    if asked != EngineName.AUTO:
        return EngineChoice(EngineName(asked), "asked for")
    if steers_heads or quantized:
        return EngineChoice(EngineName.TORCH, heads if steers_heads else weights)
    if not device.startswith("cuda"):
        return EngineChoice(EngineName.TORCH, f"the reference; the model is on {device}, not on CUDA")
    if not is_installed():
        return EngineChoice(
            EngineName.TORCH, "the reference; vllm, which is faster on CUDA, is not installed"
        )
    return EngineChoice(EngineName.VLLM, "it is installed and the model is on CUDA")


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
    options: Mapping[str, Any] | None = None,
    cluster: Cluster | None = None,
) -> Iterator[Engine]:
    """The engine while the context is open.

    Args:
        choice: which one.
        model: what it runs.
        wave_rows: rows of a wave; None for the engine's own.
        max_new_tokens: for the estimate of memory.
        options: what else vLLM takes.
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
    engine = VllmEngine(model, wave_rows, max_new_tokens, options)
    try:
        yield engine
    finally:
        engine.close()
