"""The two formats of a direction's file, by the end of its name."""

from enum import StrEnum
from pathlib import Path

from steergauge.directions.control_vectors import (
    ControlVectors,
    load_control_vectors,
    save_control_vectors,
)
from steergauge.directions.direction import ExtractedDirection
from steergauge.directions.files import load_direction, save_direction
from steergauge.errors import SteergaugeError


class FileFormat(StrEnum):
    """How a file's name ends."""

    SAFETENSORS = ".safetensors"
    GGUF = ".gguf"


def file_format(path: Path) -> FileFormat:
    """The format that a file's name asks for.

    Raises:
        SteergaugeError: it ends otherwise.
    """
    try:
        return FileFormat(path.suffix.lower())
    except ValueError:
        raise SteergaugeError(
            f"cannot tell the format of {path}: give a name that ends with {' or '.join(FileFormat)}"
        ) from None


def read_direction_file(path: Path) -> ExtractedDirection | ControlVectors:
    """Reads what `save_direction`, or any writer of GGUF control vectors, wrote.

    Raises:
        SteergaugeError: no such file, or none of either format.
    """
    return load_direction(path) if file_format(path) is FileFormat.SAFETENSORS else load_control_vectors(path)


def write_direction_file(
    extracted: ExtractedDirection,
    path: Path,
    model_hint: str,
    *,
    scale: float | None = None,
    steered_from: int | None = None,
) -> tuple[str, ...]:
    """Writes a direction in the format that the file's name asks for.

    Args:
        extracted: what to write.
        path: the file, which is replaced.
        model_hint: the architecture's name, for a control vector.
        scale: of a control vector, 1 unless given.
        steered_from: of a control vector, as `save_control_vectors` takes it.

    Returns:
        What the file does not hold, in words; nothing for safetensors.

    Raises:
        SteergaugeError: as `require_writable`; or the file cannot be written.
    """
    require_writable(path, scale, steered_from)
    if file_format(path) is FileFormat.SAFETENSORS:
        save_direction(extracted, path)
        return ()
    written = save_control_vectors(
        extracted.direction,
        path,
        model_hint=model_hint,
        scale=1.0 if scale is None else scale,
        steered_from=steered_from,
    )
    return (*(f"block {block}" for block in written.lost), *written.dropped)


def require_writable(path: Path, scale: float | None, steered_from: int | None) -> None:
    """Refuses what no file could hold.

    Raises:
        SteergaugeError: a name of neither format, or a scale or first block for a format without.
    """
    if file_format(path) is FileFormat.SAFETENSORS and (scale, steered_from) != (None, None):
        raise SteergaugeError(
            f"{path} holds unit vectors of every block: a scale or a first block belongs to a .gguf file"
        )
