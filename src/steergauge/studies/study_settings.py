"""What a study is to do, as the user declares it in TOML."""

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from steergauge.errors import SteergaugeError
from steergauge.models.catalog import catalog
from steergauge.prompts import load_contrast_set, load_evaluation_set
from steergauge.steering.dose import DoseUnit
from steergauge.studies.settings import GaugeSettings, gauge_settings, require_depths

_BILLION = 1e9


class StudiedModel(BaseModel):
    """A model of a study, with what differs for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="A catalogue name, a hub id, a folder or a GGUF file.")
    precision: str = "auto"
    depths: tuple[float, ...] | None = Field(default=None, min_length=1)
    doses: tuple[float, ...] | None = Field(default=None, min_length=1)
    parameters: float | None = Field(
        default=None, gt=0, description="In billions; needed where the catalogue does not know the model."
    )

    @property
    def billions(self) -> float | None:
        """Its size in billions of parameters, from the study file or the catalogue."""
        entry = catalog().get(self.name)
        if self.parameters is not None or entry is None:
            return self.parameters
        number, unit = entry.parameters[:-1], entry.parameters[-1]
        return float(number) * {"B": 1.0, "M": 1e6 / _BILLION}[unit]

    @property
    def family(self) -> str:
        """Its family from the catalogue; its own name where that does not know it."""
        entry = catalog().get(self.name)
        return entry.family if entry else self.name


class StudySettings(BaseModel):
    """What all studies have in common; a study's own keys stand in a subclass beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: str = Field(description="Which study: `steergauge study --list`.")
    models: tuple[StudiedModel, ...] = Field(min_length=1)
    contrast: Path | None = Field(default=None, description="Contrast set; None: the study's.")
    prompts: Path | None = Field(default=None, description="Evaluation set; None: the study's.")
    methods: tuple[str, ...] = Field(default=("dim",), min_length=1)
    depths: tuple[float, ...] = Field(default=(0.3, 0.4, 0.5, 0.6, 0.7), min_length=1)
    unit: DoseUnit = DoseUnit.RAW
    doses: tuple[float, ...] | None = Field(default=None, min_length=1)
    max_new_tokens: int = Field(default=100, ge=1)
    judge: str = "study"
    threshold: float = Field(default=0.6, gt=0, le=1)
    random_directions: int = Field(default=3, ge=1)
    seed: int = Field(default=0, ge=0)
    batch: int | None = Field(default=None, ge=1)
    device: str = "auto"

    @field_validator("models", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        if isinstance(value, list | tuple):
            return tuple({"name": one} if isinstance(one, str) else one for one in value)
        return value

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        require_depths(self.depths)
        seen = [(model.name, model.precision) for model in self.models]
        for model in self.models:
            require_depths(model.depths or ())
            if seen.count((model.name, model.precision)) > 1:
                raise ValueError(f"models has a repeat: {model.name}")
        return self

    def gauge_settings(self, model: StudiedModel, **changes: object) -> GaugeSettings:
        """The settings of one gauge of this study.

        Args:
            model: the model, whose own depths and doses go before the study's.
            changes: what this gauge does otherwise.

        Raises:
            SteergaugeError: a setting is out of range, or a prompt file cannot be used.
        """
        options: dict[str, object] = {
            "methods": self.methods,
            "depths": model.depths or self.depths,
            "unit": self.unit,
            "doses": model.doses or self.doses,
            "max_new_tokens": self.max_new_tokens,
            "judge": self.judge,
            "threshold": self.threshold,
            "random_directions": self.random_directions,
            "seed": self.seed,
            "wave_rows": self.batch,
        }
        if self.contrast is not None:
            options["contrast_set"] = load_contrast_set(self.contrast)
        if self.prompts is not None:
            options["evaluation_set"] = load_evaluation_set(self.prompts)
        return gauge_settings(**{**options, **changes})


Settings = TypeVar("Settings", bound=StudySettings)


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
    except (OSError, UnicodeDecodeError) as error:
        raise SteergaugeError(f"cannot read the study file {path}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SteergaugeError(f"{path} is no TOML: {error}") from None
    for key in ("contrast", "prompts"):
        if isinstance(declared.get(key), str):
            declared[key] = path.parent / declared[key]
    if isinstance(declared.get("contrasts"), list):
        declared["contrasts"] = [path.parent / str(one) for one in declared["contrasts"]]
    return declared


def study_settings(kind: type[Settings], declared: dict[str, Any], path: Path | None = None) -> Settings:
    """A study's settings from its file, with a user's mistake as one line.

    Args:
        kind: the settings of that study.
        declared: what the file says.
        path: the file, for the message.

    Raises:
        SteergaugeError: a key is unknown or its value out of range; the file and line are named.
    """
    try:
        return kind.model_validate(declared)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = (
                f"a {declared.get('study')} study has no such key; it has {', '.join(kind.model_fields)}"
            )
        raise SteergaugeError(f"{_place(path, first['loc'])}{where}: {message}") from None


def _place(path: Path | None, location: tuple[int | str, ...]) -> str:
    """The file and the line of the first key that a mistake is in."""
    if path is None:
        return ""
    names = [part for part in location if isinstance(part, str)]
    lines = path.read_text(encoding="utf-8").splitlines()
    for name in reversed(names):
        for index, line in enumerate(lines, start=1):
            if re.match(rf"\s*\[*\s*{re.escape(name)}\b", line):
                return f"{path}, line {index}: "
    return f"{path}: "
