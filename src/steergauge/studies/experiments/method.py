"""DIM against methods that choose their own block, as the study compared them and fairly (paper, sections 5.4 and 12)."""

from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import Field, model_validator

from steergauge.directions.extract import ITI, require_methods
from steergauge.directions.selection import NothingLeftError
from steergauge.directions.selections import SELECTIONS
from steergauge.errors import SteergaugeError
from steergauge.studies.bench import Bench
from steergauge.studies.experiments.contests import Beside, beside, corrected
from steergauge.studies.experiments.experiment import Work, gauge_work
from steergauge.studies.experiments.method_claims import answers
from steergauge.studies.experiments.method_tables import (
    choices_table,
    contests_table,
    papers_table,
    rates_figure,
)
from steergauge.studies.experiments.method_verdicts import conclude_methods
from steergauge.studies.settings import GaugeSettings
from steergauge.studies.study_result import StudyFindings
from steergauge.studies.study_settings import StudiedModel, StudySettings


class MethodSettings(StudySettings):
    """The methods: the first is swept over the depths, and the others are compared with it."""

    methods: tuple[str, ...] = Field(default=("dim", "cosmic_official", "cosmic_study"), min_length=2)

    @model_validator(mode="after")
    def _first_is_swept(self) -> Self:
        require_methods(self.methods)
        if self.methods[0] in (*SELECTIONS, ITI):
            raise ValueError(
                f"the first method is swept along the stream, and the others at its doses: it cannot be {self.methods[0]}"
            )
        return self


class Method:
    """Is the simple method as good, and is that the method or its block?"""

    settings = MethodSettings

    def plan(self, settings: MethodSettings) -> list[Work]:
        """A gauge for each method that chooses its block, and one for the others."""
        return [work for model in settings.models for work in _planned(model, _gauges(settings, model))]

    def run(self, settings: MethodSettings, bench: Bench) -> StudyFindings:
        """Gauges the methods at the depths and at the blocks they choose, and compares them pair by pair."""
        measured: list[Beside] = []
        nothing_left: list[str] = []
        first = settings.methods[0]
        for model in settings.models:
            for what, gauge in _gauges(settings, model).items():
                label = f"{model.label}, {what}"
                try:
                    result = bench.gauge(label, model, gauge)
                except NothingLeftError as reason:
                    nothing_left.append(f"{label}: {reason}")
                    continue
                measured += [beside(model.label, first, method, result) for method in gauge.methods[1:]]
        if not measured:
            raise SteergaugeError(f"method: no method chose a block; {nothing_left[0]}")
        measured = corrected(measured)
        return StudyFindings(
            tables=(papers_table(first, measured), contests_table(first, measured), choices_table(measured)),
            figures=(rates_figure(first, measured),),
            conclusions=(*conclude_methods(first, measured), *answers(first, measured)),
            cautions=(*nothing_left, *_cautions(measured)),
        )


def _cautions(measured: Sequence[Beside]) -> list[str]:
    """What the gauges say, each with its models once."""
    models: dict[str, dict[str, None]] = {}
    for one in measured:
        for caution in one.result.verdict.cautions:
            models.setdefault(caution, {})[one.model] = None
    return [f"{', '.join(names)}: {caution}" for caution, names in models.items()]


def _gauges(settings: MethodSettings, model: StudiedModel) -> dict[str, GaugeSettings]:
    """By what is measured. A method that chooses its block adds that to the grid, so each has one of its own."""
    first, *others = settings.methods
    swept = [method for method in others if method not in SELECTIONS]
    together = [swept] if swept else []
    together += [[method] for method in others if method in SELECTIONS]
    return {", ".join(some): settings.gauge_settings(model, methods=(first, *some)) for some in together}


def _planned(model: StudiedModel, gauges: Mapping[str, GaugeSettings]) -> list[Work]:
    """The gauges' work, with what they share counted once: the control, and the first method at the depths."""
    work = [gauge_work(model, what, gauge) for what, gauge in gauges.items()]
    first = next(iter(gauges.values()))
    alone = gauge_work(model, "", first.model_copy(update={"methods": first.methods[:1]}))
    shared = alone.conditions - first.random_directions
    contrast = alone.generations - alone.conditions * len(first.evaluation_set.prompts)
    return [
        work[0],
        *(
            one.model_copy(
                update={
                    "conditions": one.conditions - shared,
                    "generations": one.generations - shared * len(first.evaluation_set.prompts) - contrast,
                }
            )
            for one in work[1:]
        ),
    ]
