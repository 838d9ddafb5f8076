"""A direction as a safetensors file, without loss.

Two tensors, `vectors` (float32) and `raw_norms` (float64), and one metadata entry, `steergauge`: a JSON object with all that
belongs to them. One entry, for safetensors writes several in no fixed order, and equal directions shall be equal files.
"""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from steergauge.atomic import replacing
from steergauge.directions.direction import Direction, ExtractedDirection
from steergauge.errors import SteergaugeError

VERSION = 1
"""Raised when an older steergauge could not read a file rightly."""

_KEY = "steergauge"


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal["direction"]
    version: int
    method: str
    site: str
    position: int
    blocks: int
    width: int
    digest: str
    model: str
    fingerprint: str


def save_direction(extracted: ExtractedDirection, path: Path | str) -> None:
    """Writes a direction: the same bytes each time, whole or not at all.

    Raises:
        SteergaugeError: the file cannot be written.
    """
    direction = extracted.direction
    header = _Header(
        format="direction",
        version=VERSION,
        method=direction.method,
        site=direction.site,
        position=direction.position,
        blocks=direction.blocks,
        width=direction.width,
        digest=direction.digest,
        model=extracted.model,
        fingerprint=extracted.fingerprint,
    )
    tensors: dict[str, NDArray[Any]] = {
        "vectors": np.ascontiguousarray(direction.vectors, dtype=np.float32),
        "raw_norms": np.ascontiguousarray(direction.raw_norms, dtype=np.float64),
    }
    with replacing(Path(path)) as partial:
        partial.write_bytes(save(tensors, metadata={_KEY: header.model_dump_json()}))


def load_direction(path: Path | str) -> ExtractedDirection:
    """Reads a direction back, bit for bit. `Direction.require_fit` says whether it belongs to a model.

    Raises:
        SteergaugeError: no such file, a damaged or foreign one, or one of a newer steergauge.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="numpy") as file:
            header = _read_header(path, file.metadata() or {})
            vectors, raw_norms = file.get_tensor("vectors"), file.get_tensor("raw_norms")
    except OSError as error:
        raise SteergaugeError(f"cannot read the direction {path}: {error.strerror or error}") from None
    except SafetensorError as error:
        raise SteergaugeError(f"{path} is not a whole safetensors file: {error}") from None
    direction = Direction(header.method, vectors, raw_norms, header.site, header.position)
    if not _as_written(header, vectors, raw_norms) or direction.digest != header.digest:
        raise SteergaugeError(
            f"{path} is damaged: its numbers are not those that were saved; save the direction again"
        )
    return ExtractedDirection(direction, header.model, header.fingerprint)


def _read_header(path: Path, metadata: dict[str, str]) -> _Header:
    try:
        fields = json.loads(metadata[_KEY])
        version = int(fields["version"])
        if version > VERSION:
            raise SteergaugeError(
                f"{path} was saved by a newer steergauge (format {version}, this one reads up to {VERSION}); "
                "update steergauge"
            )
        return _Header.model_validate(fields)
    except (KeyError, TypeError, ValueError, ValidationError):
        raise SteergaugeError(
            f"{path} is a safetensors file, but not a direction that steergauge saved; "
            "give one that `save_direction` wrote"
        ) from None


def _as_written(header: _Header, vectors: NDArray[np.float32], raw_norms: NDArray[np.float64]) -> bool:
    return (
        vectors.dtype == np.float32
        and raw_norms.dtype == np.float64
        and vectors.shape == (header.blocks, header.width)
        and raw_norms.shape == (header.blocks,)
    )
