"""Directions from files, to be measured like those that are extracted."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from steergauge.directions.control_vectors import ControlVectors
from steergauge.directions.direction import Direction
from steergauge.directions.extract import ContrastReadings
from steergauge.directions.formats import read_direction_file
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model

_STREAM = "block output"


class ImportedDirection(NamedTuple):
    """A direction, and the file and model that it came from, in words."""

    direction: Direction
    source: str


def import_directions(
    paths: Sequence[Path], model: Model, readings: ContrastReadings, needed: Sequence[int]
) -> dict[str, ImportedDirection]:
    """Reads directions by the names that they are measured under: `METHOD-imported`.

    Args:
        paths: the files.
        model: what will be steered.
        readings: of its contrast set: a control vector does not say how far apart the classes are.
        needed: the blocks that will be steered from.

    Raises:
        SteergaugeError: a file cannot be read, belongs to another place of the stream or a model of another shape,
            or lacks a needed block; or two would have one name.
    """
    imported: dict[str, ImportedDirection] = {}
    for path in paths:
        one = _import(path, model, readings, needed)
        name = f"{one.direction.method}-imported"
        if name in imported:
            raise SteergaugeError(
                f"{path} was made by {one.direction.method} as another file was; measure them one at a time"
            )
        imported[name] = one
    return imported


def _import(path: Path, model: Model, readings: ContrastReadings, needed: Sequence[int]) -> ImportedDirection:
    found = read_direction_file(path)
    if isinstance(found, ControlVectors):
        return ImportedDirection(found.direction(*readings, needed), f"{path}, a GGUF control vector")
    direction = found.direction
    if direction.site != _STREAM:
        raise SteergaugeError(
            f"{path} was read at the {direction.site}, and what is steered is the {_STREAM}"
        )
    direction.require_fit(len(model.blocks), model.blocks.width, model.name)
    same = found.fingerprint == model.fingerprint
    state = "in this state" if same else "in another state (weights, precision, tokenizer or template)"
    return ImportedDirection(direction, f"{path}, extracted on {found.model} {state}")
