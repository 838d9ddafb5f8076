"""One direction read by every tool, and the mistakes that make a gap like the study's, over models (paper, section 7)."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from steergauge.prompts import load_contrast_set, load_evaluation_set
from steergauge.steering.dose import DoseUnit
from steergauge.studies.bench import Bench
from steergauge.studies.experiments.experiment import Work
from steergauge.studies.experiments.tooling_tables import (
    faults_figure,
    faults_table,
    tools_figure,
    tools_table,
)
from steergauge.studies.experiments.tooling_verdicts import conclude_mistakes, conclude_tools
from steergauge.studies.fault_rule import RULES
from steergauge.studies.parity import most_conditions, parity
from steergauge.studies.parity_result import ParityResult
from steergauge.studies.parity_settings import ParitySettings
from steergauge.studies.settings import settings_from
from steergauge.studies.study_result import StudyFindings
from steergauge.studies.study_settings import StudiedModel, StudySettings


class ToolingSettings(StudySettings):
    """DIM by every tool, at one raw dose a model or a tenth of the residual norm."""

    unused: ClassVar = ("methods", "norm_fractions", "threshold", "random_directions", "seed")

    depths: tuple[float, ...] = Field(default=(0.4, 0.5, 0.6), min_length=1)
    faults: bool = Field(default=True, description="Make the mistakes too, not only compare the tools.")

    @model_validator(mode="after")
    def _one_raw_dose(self) -> Self:
        if self.unit is not DoseUnit.RAW:
            raise ValueError(f"tools are compared at a raw dose, not at one in the unit {self.unit}")
        for model in self.models:
            if len(model.doses or self.doses or (0,)) > 1:
                raise ValueError(f"tools are compared at one dose: {model.name} has several")
        return self

    def parity_settings(self, model: StudiedModel) -> ParitySettings:
        """The parity study of one model.

        Raises:
            SteergaugeError: a setting is out of range, or a prompt file cannot be used.
        """
        doses = model.doses or self.doses
        options: dict[str, object] = {
            "depths": model.depths or self.depths,
            "dose": doses[0] if doses else None,
            "faults": self.faults,
            "max_new_tokens": self.max_new_tokens,
            "judge": self.judge,
            "wave_rows": self.batch,
        }
        if self.contrast is not None:
            options["contrast_set"] = load_contrast_set(self.contrast)
        if self.prompts is not None:
            options["evaluation_set"] = load_evaluation_set(self.prompts)
        return settings_from(ParitySettings, options)


class Tooling:
    """Does the tool that reads activations decide what a direction does, and which mistake would?"""

    settings = ToolingSettings

    def plan(self, settings: ToolingSettings) -> list[Work]:
        """A parity study a model; it is not a gauge."""
        work = []
        for model in settings.models:
            one = settings.parity_settings(model)
            conditions = most_conditions(one)
            work.append(
                Work(
                    model=model,
                    what="tools and mistakes" if one.faults else "tools",
                    conditions=conditions,
                    generations=conditions * len(one.evaluation_set.prompts),
                    max_new_tokens=one.max_new_tokens,
                )
            )
        return work

    def run(self, settings: ToolingSettings, bench: Bench) -> StudyFindings:
        """Runs parity on every model. Its outputs are in the store; the result has its numbers as tables."""
        bench.torch_engine("makes the tools' mistakes on purpose")
        results: dict[str, ParityResult] = {
            model.label: parity(
                bench.model(model),
                settings.parity_settings(model),
                store=bench.store,
                progress=bench.progress,
            )
            for model in settings.models
        }
        conclusions = [conclude_tools(results)]
        if settings.faults:
            conclusions.append(conclude_mistakes(results))
        faults = (faults_table(results, RULES),) if settings.faults else ()
        return StudyFindings(
            tables=(tools_table(results), *faults),
            figures=(tools_figure(results), *((faults_figure(results),) if settings.faults else ())),
            conclusions=tuple(conclusions),
            cautions=tuple(
                f"{name}: {one.name} was not measured: {one.reason}."
                for name, result in results.items()
                for one in result.backends
                if one.outcome == "error"
            ),
        )
