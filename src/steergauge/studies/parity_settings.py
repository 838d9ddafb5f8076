"""What a parity study does, as the user declares it."""

import math
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from steergauge.judging.judges import require_judge
from steergauge.prompts import ContrastSet, EvaluationSet, study_contrast_set, study_evaluation_set
from steergauge.studies.settings import require_depths


class ParitySettings(BaseModel):
    """The study's prompts, DIM and steering rule, read with every backend and with every mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contrast_set: ContrastSet = Field(default_factory=study_contrast_set)
    evaluation_set: EvaluationSet = Field(default_factory=study_evaluation_set)
    depths: tuple[float, ...] = Field(
        default=(0.4, 0.5, 0.6),
        min_length=1,
        description="Steering is from block int(depth × N) through the last.",
    )
    dose: float | None = Field(
        default=None, description="Raw α; None: a tenth of the residual norm at each block, in two digits."
    )
    faults: bool = Field(default=True, description="Make the mistakes too, not only compare the backends.")
    max_new_tokens: int = Field(default=100, ge=1)
    judge: str = Field(default="study", description="The paper's own rule, by which it found its gap.")
    wave_rows: int | None = Field(default=None, ge=1, description="Rows of a batch; None: what fits memory.")

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        require_judge(self.judge)
        require_depths(self.depths)
        if len(set(self.depths)) < len(self.depths):
            raise ValueError(f"depths has a repeat: {', '.join(map(str, self.depths))}")
        if self.dose is not None and (not math.isfinite(self.dose) or self.dose == 0):
            raise ValueError(f"a dose is a finite number other than 0 (the control is 0), not {self.dose}")
        return self
