"""What a study is: settings, the work it plans, and the findings it returns."""

from typing import Protocol, TypeVar

from pydantic import Field

from steergauge.directions.selections import SELECTIONS, selection_readings
from steergauge.studies.bench import Bench
from steergauge.studies.measurements import Record
from steergauge.studies.settings import GaugeSettings
from steergauge.studies.study_result import StudyFindings
from steergauge.studies.study_settings import StudiedModel, StudySettings

Declared = TypeVar("Declared", bound=StudySettings)

# Dose grids of a default gauge have this many doses, whatever chose them.
_DEFAULT_DOSES = 5


class Work(Record):
    """A part of a study as it is foretold: so many conditions of one model on so many prompts."""

    model: StudiedModel = Field(description="Which model.")
    what: str = Field(description="What is measured, in words.")
    conditions: int = Field(description="Conditions at most, controls included.")
    generations: int = Field(description="Outputs at most: those in the store are not made again.")
    max_new_tokens: int = Field(description="The most tokens of an output.")
    readings: int = Field(default=0, description="Prompts that are read without an answer.")
    readings_a_block: int = Field(
        default=0, description="Prompts that are run for each of the model's blocks, to choose one."
    )


def gauge_work(model: StudiedModel, what: str, settings: GaugeSettings) -> Work:
    """What a gauge comes to: the grid, the unsteered control and the random one."""
    choosing = [method for method in settings.methods if method in SELECTIONS]
    blocks = len(settings.depths) + len(choosing)
    doses = len(settings.doses) if settings.doses is not None else _DEFAULT_DOSES
    in_stream = [method for method in settings.methods if method != "iti"]
    steered = (len(in_stream) + len(settings.directions)) * blocks * doses
    if "iti" in settings.methods:
        steered += blocks * len(settings.head_doses)
    conditions = steered + settings.random_directions
    prompts = len(settings.evaluation_set.prompts)
    contrast = len(settings.contrast_set.positive) + len(settings.contrast_set.negative)
    return Work(
        model=model,
        what=what,
        conditions=conditions + 1,
        generations=(conditions + 1) * prompts + contrast,
        max_new_tokens=settings.max_new_tokens,
        readings_a_block=sum(selection_readings(method, settings.contrast_set) for method in choosing),
    )


class Experiment(Protocol[Declared]):
    """One study of the paper, or beyond it."""

    name: str
    question: str
    settings: type[Declared]

    def plan(self, settings: Declared) -> list[Work]:
        """What it would do, told without loading a model."""
        ...

    def run(self, settings: Declared, bench: Bench) -> StudyFindings:
        """Measures, and says what was found."""
        ...
