"""What a gauge does, as the user declares it."""

import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from steergauge.directions.extract import require_methods
from steergauge.directions.formats import read_direction_file
from steergauge.errors import SteergaugeError
from steergauge.judging.judges import DEFAULT_JUDGE, require_judge
from steergauge.prompts import ContrastSet, EvaluationSet, study_contrast_set, study_evaluation_set
from steergauge.steering.dose import DoseUnit, operation_of
from steergauge.steering.operation import Operation
from steergauge.steering.positions import Positions


class SteeredBlocks(StrEnum):
    """Which blocks are steered: from one through the last (the study), or that one alone."""

    ONWARD = "onward"
    ONE = "one"


_Settings = TypeVar("_Settings", bound=BaseModel)


class GaugeSettings(BaseModel):
    """The study's protocol for one model, unless said otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contrast_set: ContrastSet = Field(default_factory=study_contrast_set)
    evaluation_set: EvaluationSet = Field(default_factory=study_evaluation_set)
    methods: tuple[str, ...] = ("dim",)
    directions: tuple[Path, ...] = Field(
        default=(), description="Files of directions that are measured beside those extracted."
    )
    depths: tuple[float, ...] = Field(
        default=(0.3, 0.4, 0.5, 0.6, 0.7),
        min_length=1,
        description="Steering is from block int(depth × N) on.",
    )
    operation: Operation = Field(
        default=Operation.ADD, description="Unless said, clamp for doses of that unit and add for any other."
    )
    blocks: SteeredBlocks = SteeredBlocks.ONWARD
    positions: Positions = Positions.ALL
    unit: DoseUnit = DoseUnit.RAW
    doses: tuple[float, ...] | None = Field(
        default=None, min_length=1, description="None: from the catalogue, else from the residual norms."
    )
    norm_fractions: tuple[float, ...] | None = Field(
        default=None,
        min_length=1,
        description="Raw doses in fractions of R at the middle block; None: the catalogue's, or a default grid.",
    )
    head_doses: tuple[float, ...] = Field(
        default=(2, 3, 5, 7, 10), min_length=1, description="Of iti, in standard deviations of each head."
    )
    search: bool = Field(
        default=False, description="Race for the best condition and its window; do not sweep the grid."
    )
    max_new_tokens: int = Field(default=100, ge=1)
    judge: str = DEFAULT_JUDGE
    surprise: bool = Field(default=False, description="Read every output with the unsteered model too.")
    full: bool = Field(
        default=False, description="Make every output to its end, also where its label can no longer change."
    )
    threshold: float = Field(
        default=0.6, gt=0, le=1, description="The coherent refusal rate that counts as steerable."
    )
    random_directions: int = Field(default=3, ge=1, description="Random unit vectors in the control.")
    seed: int = Field(default=0, ge=0, description="Of the prompts' halves and of the random directions.")
    wave_rows: int | None = Field(default=None, ge=1, description="Rows of a batch; None: what fits memory.")

    @model_validator(mode="before")
    @classmethod
    def _operation_of_the_unit(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("operation") is None:
            operation = Operation.CLAMP if given.get("unit") == DoseUnit.CLAMP else Operation.ADD
            return {**given, "operation": operation}
        return given

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        require_judge(self.judge)
        operation_of(self.unit, self.operation)
        require_methods(self.methods)
        for path in self.directions:
            read_direction_file(path)
        if not self.methods and not self.directions:
            raise ValueError("there is neither a method nor a direction to measure")
        require_depths(self.depths)
        for name in ("methods", "depths", "doses", "head_doses"):
            values = getattr(self, name) or ()
            if len(set(values)) < len(values):
                raise ValueError(f"{name} has a repeat: {', '.join(map(str, values))}")
        for dose in (*(self.doses or ()), *self.head_doses):
            if not math.isfinite(dose) or (dose == 0 and not self.operation.sets_component):
                raise ValueError(f"a dose is a finite number other than 0 (the control is 0), not {dose}")
        if self.norm_fractions is not None and (self.doses is not None or self.unit is not DoseUnit.RAW):
            raise ValueError("norm_fractions gives raw doses by itself: leave out doses and any other unit")
        if self.unit is DoseUnit.CLAMP and self.doses is None:
            raise ValueError("the unit clamp needs doses: the components to set, such as --doses 5,10,20")
        return self


def require_depths(depths: Iterable[float]) -> None:
    """Refuses what is no depth.

    Raises:
        ValueError: naming the first.
    """
    for depth in depths:
        if not 0 <= depth < 1:
            raise ValueError(f"a depth is a fraction from 0 to below 1, not {depth}")


def gauge_settings(**options: object) -> GaugeSettings:
    """A gauge's settings from options.

    Raises:
        SteergaugeError: an option is unknown or out of range.
    """
    return settings_from(GaugeSettings, options)


def settings_from(kind: type[_Settings], options: Mapping[str, object]) -> _Settings:
    """Settings from options, with a user's mistake as one line.

    Raises:
        SteergaugeError: an option is unknown or out of range.
    """
    try:
        return kind.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise SteergaugeError(f"{where}: {message}" if where else message) from None
