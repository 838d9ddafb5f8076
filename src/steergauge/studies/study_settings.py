"""What a study is to do, as the user declares it."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ClassVar, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from steergauge.directions.extract import require_methods
from steergauge.directions.methods import METHODS
from steergauge.errors import SteergaugeError
from steergauge.judging.judges import DEFAULT_JUDGE, find_judge
from steergauge.models.catalog import find_entry
from steergauge.prompts import load_contrast_set, load_evaluation_set
from steergauge.steering.dose import DoseUnit
from steergauge.studies.settings import GaugeSettings, gauge_settings, require_depths

_Value = TypeVar("_Value")
_Values = TypeVar("_Values", bound=tuple[object, ...])


def _distinct(values: _Values) -> _Values:
    if repeats := [value for index, value in enumerate(values) if value in values[:index]]:
        raise ValueError(f"{repeats[0]} stands there twice")
    return values


def _fractions(depths: tuple[float, ...]) -> tuple[float, ...]:
    require_depths(depths)
    return depths


def _multipliers(doses: tuple[float, ...]) -> tuple[float, ...]:
    for dose in doses:
        if not math.isfinite(dose) or dose == 0:
            raise ValueError(f"a dose is a finite number other than 0 (the control is 0), not {dose}")
    return doses


Depths = Annotated[
    tuple[float, ...], Field(min_length=1), AfterValidator(_fractions), AfterValidator(_distinct)
]
Doses = Annotated[
    tuple[float, ...], Field(min_length=1), AfterValidator(_multipliers), AfterValidator(_distinct)
]


class StudiedModel(BaseModel):
    """A model of a study, with what differs for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="A catalogue name, a hub id, a folder or a GGUF file.")
    precision: str = Field(default="auto", min_length=1, description="As `steergauge gauge` takes it.")
    depths: Depths | None = Field(default=None, description="In place of the study's.")
    doses: Doses | None = Field(default=None, description="In place of the study's.")
    parameters: float | None = Field(
        default=None, gt=0, description="In billions; needed where the catalogue does not know the model."
    )

    @property
    def label(self) -> str:
        """Its name in tables, with its precision where the study asks for one."""
        return self.name if self.precision == "auto" else f"{self.name}, {self.precision}"

    @property
    def billions(self) -> float | None:
        """Its size in billions of parameters, from the study or the catalogue."""
        entry = find_entry(self.name)
        return self.parameters if self.parameters is not None or entry is None else entry.billions

    @property
    def family(self) -> str | None:
        """Its family; None where the catalogue does not know the model."""
        entry = find_entry(self.name)
        return entry.family if entry else None


class StudySettings(BaseModel):
    """What all studies have in common; a study's own keys stand in a subclass beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unused: ClassVar[tuple[str, ...]] = ()
    """Keys of all studies that this one does not use: it refuses them, rather than ignore them."""

    study: str = Field(description="Which study: `steergauge study --list`.")
    models: tuple[StudiedModel, ...] = Field(min_length=1, description="Names, or tables with what differs.")
    contrast: Path | None = Field(default=None, description="Contrast set; None: the paper's.")
    prompts: Path | None = Field(default=None, description="Evaluation set; None: the paper's.")
    methods: tuple[str, ...] = Field(default=("dim",), min_length=1, description="How directions are made.")
    depths: Depths = Field(default=(0.3, 0.4, 0.5, 0.6, 0.7), description="Fractions of the blocks.")
    unit: DoseUnit = Field(default=DoseUnit.RAW, description="What doses multiply.")
    doses: Doses | None = Field(default=None, description="None: a gauge's default grid.")
    norm_fractions: Doses | None = Field(
        default=None, description="Raw doses in fractions of each model's R at its middle block."
    )
    max_new_tokens: int = Field(default=100, ge=1, description="Length of an output.")
    judge: str = Field(default=DEFAULT_JUDGE, description="Who reads the outputs.")
    threshold: float = Field(default=0.6, gt=0, le=1, description="The rate that counts as steerable.")
    random_directions: int = Field(default=3, ge=1, description="Random vectors in each control.")
    seed: int = Field(default=0, ge=0, description="Of the prompts' halves and of all that is drawn.")
    batch: int | None = Field(default=None, ge=1, description="Rows of a batch; None: what fits memory.")
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:N or mps.")

    @field_validator("models", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        if isinstance(value, list | tuple):
            return tuple({"name": one} if isinstance(one, str) else one for one in value)
        return value

    @field_validator("models")
    @classmethod
    def _distinct_models(cls, models: tuple[StudiedModel, ...]) -> tuple[StudiedModel, ...]:
        _distinct(tuple(model.label for model in models))
        return models

    @field_validator("judge")
    @classmethod
    def _known_judge(cls, judge: str) -> str:
        return _known(judge, find_judge)

    @field_validator("methods")
    @classmethod
    def _known_methods(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        return _known(_distinct(methods), require_methods)

    @field_validator("unit")
    @classmethod
    def _of_the_stream(cls, unit: DoseUnit) -> DoseUnit:
        if unit is DoseUnit.SIGMA:
            raise ValueError(
                "sigma is the unit of attention heads alone; use raw, relative, separation or clamp"
            )
        return unit

    @model_validator(mode="after")
    def _all_used(self) -> Self:
        given = self.model_fields_set.union(*(model.model_fields_set for model in self.models))
        if unused := sorted(given.intersection(self.unused)):
            raise ValueError(f"a {self.study} study does not use {', '.join(unused)}")
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
            "norm_fractions": None if model.doses or self.doses else self.norm_fractions,
            "max_new_tokens": self.max_new_tokens,
            "judge": self.judge,
            "full": True,  # studies share their outputs, whoever reads them
            "threshold": self.threshold,
            "random_directions": self.random_directions,
            "seed": self.seed,
            "wave_rows": self.batch,
        }
        if self.contrast is not None:
            options["contrast_set"] = load_contrast_set(self.contrast)
        if self.prompts is not None:
            options["evaluation_set"] = load_evaluation_set(self.prompts)
        if "doses" in changes:
            options["norm_fractions"] = None
        return gauge_settings(**{**options, **changes})


class OneMethodSettings(StudySettings):
    """A study of one method that gives a direction at every block, whose conditions are compared with each other."""

    @field_validator("methods")
    @classmethod
    def _one_method(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        if len(methods) != 1 or methods[0] not in METHODS:
            raise ValueError(f"this study takes one method, of {', '.join(METHODS)}")
        return methods


def _known(value: _Value, require: Callable[[_Value], object]) -> _Value:
    """The value, if `require` does not refuse it: its message belongs to the key here."""
    try:
        require(value)
    except SteergaugeError as error:
        raise ValueError(str(error)) from None
    return value
