"""What several commands take or do: options as values, a model by its name."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from steergauge.errors import SteergaugeError

if TYPE_CHECKING:
    from steergauge.models.loading import Model

PRECISION = (
    "auto, float32, bfloat16, float16, or a quantisation such as nf4-bitsandbytes: docs/models.md lists them."
)

TENSOR_PARALLEL = "Devices that vllm splits each matrix over."

RAY = "Make the outputs on a Ray cluster: auto, HOST:PORT or local (docs/cluster.md)."


class Engine(StrEnum):
    """What runs the model; told in `--help` without importing what runs it."""

    AUTO = "auto"
    TORCH = "torch"
    VLLM = "vllm"


ENGINE = "What generates. auto: vllm where it is installed, on CUDA; else torch."


def load(model: str, precision: str, device: str, template: Path | None = None) -> "Model":
    """Loads a model, with the chat template of a file in place of its own if one is given.

    Raises:
        SteergaugeError: the model or the template cannot be used.
    """
    quiet_transformers()
    from steergauge.models.loading import load_model

    try:
        source = template.read_text(encoding="utf-8") if template else None
    except (OSError, UnicodeDecodeError) as error:
        raise SteergaugeError(f"cannot read the template {template}: {error}") from None
    return load_model(model, precision=precision, device=device, template=source)


def quiet_transformers() -> None:
    """Its bars and warnings would run through our own."""
    from transformers.utils import logging as theirs

    theirs.disable_progress_bar()  # type: ignore[no-untyped-call]
    theirs.set_verbosity_error()  # type: ignore[no-untyped-call]


def numbers(option: str, text: str) -> tuple[float, ...]:
    """The numbers of an option that takes several, with commas between.

    Raises:
        SteergaugeError: one is none; the option is named.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise SteergaugeError(
            f"{option} takes numbers with commas between, such as 0.5,1,2; not {text!r}"
        ) from None


def told_written(*paths: Path) -> None:
    """Says on stdout which files there are now."""
    from rich.console import Console
    from rich.markup import escape

    for path in paths:
        Console(soft_wrap=True).print(f"written: {escape(str(path.absolute()))}", highlight=False)
