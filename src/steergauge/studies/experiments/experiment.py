"""What a study is: settings, the work it plans, and the findings it returns."""

from typing import Protocol, Self, TypeVar

from pydantic import Field

from steergauge.directions.extract import ITI
from steergauge.directions.selections import SELECTIONS, selection_readings
from steergauge.studies.bench import Bench
from steergauge.studies.measurements import Record
from steergauge.studies.plan import DEFAULT_DOSES
from steergauge.studies.result import GaugeResult
from steergauge.studies.settings import GaugeSettings
from steergauge.studies.study_result import StudyFindings
from steergauge.studies.study_settings import StudiedModel, StudySettings

Declared = TypeVar("Declared", bound=StudySettings)


class Work(Record):
    """A part of a study as it is foretold: so many conditions of one model on so many prompts."""

    model: StudiedModel = Field(description="Which model.")
    what: str = Field(description="What is measured, in words.")
    conditions: int = Field(description="Conditions at most, controls included.")
    generations: int = Field(description="Outputs at most: those in the store are not made again.")
    max_new_tokens: int = Field(description="The most tokens of an output.")
    largest_stage: int | None = Field(
        default=None, description="Outputs that may be made in one batch at most; null: all of them."
    )
    readings: int = Field(default=0, description="Prompts that are read without an answer.")
    readings_a_block: int = Field(
        default=0, description="Prompts that are run for each of the model's blocks, to choose one."
    )

    def with_more(self, conditions: int, prompts: int) -> Self:
        """The same with further conditions on so many prompts."""
        return self.model_copy(
            update={
                "conditions": self.conditions + conditions,
                "generations": self.generations + conditions * prompts,
                "largest_stage": self.largest_stage and max(self.largest_stage, conditions * prompts),
            }
        )


def gauge_work(model: StudiedModel, what: str, settings: GaugeSettings) -> Work:
    """What a gauge comes to at most: the grid, the unsteered control and the random one."""
    in_stream = [method for method in settings.methods if method != ITI]
    choosing = [method for method in settings.methods if method in SELECTIONS]
    # Each method that chooses a block adds it to the grid of all.
    blocks = len(settings.depths) + len(choosing)
    doses = len(settings.doses or settings.norm_fractions or range(DEFAULT_DOSES))
    steered = (len(in_stream) + len(settings.directions)) * blocks * doses
    if ITI in settings.methods:
        steered += blocks * len(settings.head_doses)
    conditions = 1 + steered + settings.random_directions
    contrast = len(settings.contrast_set.positive) + len(settings.contrast_set.negative)
    prompts = len(settings.evaluation_set.prompts)
    return Work(
        model=model,
        what=what,
        conditions=conditions,
        generations=conditions * prompts + contrast,
        largest_stage=max(prompts + contrast, steered * prompts, settings.random_directions * prompts),
        max_new_tokens=settings.max_new_tokens,
        readings_a_block=sum(selection_readings(method, settings.contrast_set) for method in choosing),
    )


def gauge_each(settings: StudySettings, bench: Bench) -> dict[str, GaugeResult]:
    """A gauge a model by the study's own settings, under the model's label."""
    return {
        model.label: bench.gauge(model.label, model, settings.gauge_settings(model))
        for model in settings.models
    }


class Experiment(Protocol[Declared]):
    """One study of the paper, or beyond it. Its name and question stand in `table.py`."""

    settings: type[Declared]

    def plan(self, settings: Declared) -> list[Work]:
        """What it would do, told without loading a model."""
        ...

    def run(self, settings: Declared, bench: Bench) -> StudyFindings:
        """Measures, and says what was found."""
        ...
