"""Study files: the built-in ones and a user's, and where in a file a mistake stands."""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from steergauge.errors import SteergaugeError, nearest
from steergauge.studies.study_settings import StudiedModel, StudySettings

Settings = TypeVar("Settings", bound=StudySettings)
Location = tuple[int | str, ...]


def built_in(name: str) -> dict[str, Any]:
    """The built-in study file of a name, as a mapping."""
    text = files("steergauge").joinpath(f"data/studies/{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def read_study_file(path: Path) -> dict[str, Any]:
    """A user's study file as a mapping; prompt files in it are taken from where it stands.

    Raises:
        SteergaugeError: it cannot be read, or it is no TOML.
    """
    try:
        declared = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SteergaugeError(f"cannot read the study file {path}: {error.strerror}") from None
    except ValueError as error:  # no UTF-8, or no TOML
        raise SteergaugeError(f"{path} is no TOML: {error}") from None
    for key in ("contrast", "prompts"):
        if isinstance(declared.get(key), str):
            declared[key] = path.parent / declared[key]
    if isinstance(declared.get("contrasts"), list):
        declared["contrasts"] = [path.parent / str(one) for one in declared["contrasts"]]
    return declared


def study_settings(
    kind: type[Settings],
    declared: Mapping[str, Any],
    path: Path | None = None,
    changes: Mapping[str, object] | None = None,
) -> Settings:
    """A study's settings from its file, with a user's mistake as one line.

    Args:
        kind: the settings of that study.
        declared: what the file says.
        path: the file, for the message.
        changes: what goes before the file: a mistake in these is not the file's.

    Raises:
        SteergaugeError: a key is unknown or its value out of range; the file and line are named.
    """
    changes = changes or {}
    try:
        return kind.model_validate({**declared, **changes})
    except ValidationError as error:
        first = error.errors()[0]
        location = first["loc"]
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            of = StudiedModel if location[0] == "models" else kind
            message = f"there is no such key; {nearest(str(location[-1]), of.model_fields)}"
        where = ".".join(str(part) for part in location)
        place = "" if path is None or (location and location[0] in changes) else place_in(path, location)
        raise SteergaugeError(f"{place}{where}: {message}" if where else f"{place}{message}") from None


def place_in(path: Path, location: Location) -> str:
    """The file, and the line of a key in it or else of the nearest key around it, as a message begins."""
    lines = _lines(path.read_text(encoding="utf-8"))
    for length in range(len(location), 0, -1):
        if location[:length] in lines:
            return f"{path}, line {lines[location[:length]]}: "
    return f"{path}: "


def _lines(text: str) -> dict[Location, int]:
    """The line of each key and table, by its place; those inside a value of several keys have none."""
    found: dict[Location, int] = {}
    seen: Counter[str] = Counter()
    table: Location = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if heading := re.match(r"\s*(\[\[?)\s*([\w-]+)\s*\]", line):
            name = heading[2]
            table = (name, seen[name]) if heading[1] == "[[" else (name,)
            seen[name] += 1
            found.setdefault((name,), number)
            found[table] = number
        elif key := re.match(r"\s*([\w-]+)\s*=", line):
            found.setdefault((*table, key[1]), number)
    return found
