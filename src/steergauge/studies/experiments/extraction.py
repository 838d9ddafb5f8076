"""Sensitivity to the contrast set: its size, its prompts, another set (the study's limitations, section 12)."""

from typing import Self

from pydantic import Field, model_validator

from steergauge.directions.methods import find_method
from steergauge.errors import SteergaugeError
from steergauge.judging.label import Label
from steergauge.steering.dose import DoseUnit
from steergauge.studies.bench import Bench
from steergauge.studies.experiments.conditions import cautions_of
from steergauge.studies.experiments.contrast_sets import SeveralSetsSettings
from steergauge.studies.experiments.contrast_subsets import (
    Subset,
    read_sets,
    refused_pairs,
    subsets_of,
    whole_set,
)
from steergauge.studies.experiments.experiment import Work, gauge_work
from steergauge.studies.experiments.extraction_tables import (
    Measured,
    cosines_table,
    effects_table,
    refusals_figure,
    sizes_figure,
    sizes_table,
)
from steergauge.studies.experiments.extraction_verdicts import conclude_extraction
from steergauge.studies.result import GaugeResult
from steergauge.studies.settings import GaugeSettings
from steergauge.studies.study_result import StudyFindings
from steergauge.studies.study_settings import StudiedModel


class ExtractionSettings(SeveralSetsSettings):
    """One method, block and dose a model; which subsets are steered with."""

    depths: tuple[float, ...] = Field(default=(0.5,), min_length=1)
    sizes: tuple[int, ...] = Field(default=(1, 2, 5, 10), description="Pairs, where a set has more.")
    leave_one_out: bool = Field(default=True, description="Leave each pair of the first set out once.")
    draws: int = Field(default=200, ge=1, description="Subsets of each size, for their cosines alone.")

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        if len(self.methods) > 1:
            raise ValueError(f"extraction compares sets by one method, not {', '.join(self.methods)}")
        find_method(self.methods[0])
        if self.unit not in (DoseUnit.RAW, DoseUnit.RELATIVE):
            raise ValueError(
                f"sets are compared at an equal dose, raw or relative: {self.unit} differs by set"
            )
        if any(size < 1 for size in self.sizes):
            raise ValueError("a size is a number of pairs, 1 or more")
        for model in self.models:
            if len(model.depths or self.depths) != 1 or len(model.doses or self.doses or ()) != 1:
                raise ValueError(
                    f"sets are compared at one block and dose: {model.name} needs one depth and one dose, its own or the study's"
                )
        return self


class Extraction:
    """Does another contrast set give another direction, and other refusals?"""

    settings = ExtractionSettings

    def plan(self, settings: ExtractionSettings) -> list[Work]:
        """The whole first set with its control; then one condition a subset."""
        subsets = _subsets(settings)
        known = set(subsets[0].contrast_set.positive + subsets[0].contrast_set.negative)
        others = {
            prompt for one in subsets for prompt in one.contrast_set.positive + one.contrast_set.negative
        }
        work = []
        for model in settings.models:
            whole = gauge_work(model, "whole set", _gauge(settings, model, subsets[0]))
            prompts = (whole.generations - len(known)) // whole.conditions
            more = len(subsets)  # and at most one of those that are refused
            what = f"{more} subsets"
            generations = more * prompts + len(others - known)
            work += [
                whole,
                whole.model_copy(update={"what": what, "conditions": more, "generations": generations}),
            ]
        return work

    def run(self, settings: ExtractionSettings, bench: Bench) -> StudyFindings:
        """Steers with every subset's direction at the same block and dose, and compares with the whole set's."""
        measured = [_measure(settings, bench, model) for model in settings.models]
        return StudyFindings(
            tables=(effects_table(measured), cosines_table(measured), sizes_table(measured)),
            figures=(refusals_figure(measured), sizes_figure(measured)),
            conclusions=conclude_extraction(measured, settings.threshold),
            cautions=cautions_of({one.model: one.whole for one in measured}),
        )


def _measure(settings: ExtractionSettings, bench: Bench, model: StudiedModel) -> Measured:
    method, subsets = settings.methods[0], _subsets(settings)

    def steer_with(subset: Subset) -> GaugeResult:
        return bench.gauge(f"{model.label}, {subset.name}", model, _gauge(settings, model, subset))

    readings = read_sets(bench.model(model), settings.contrast_sets(), bench.progress)
    whole = steer_with(subsets[0])
    refused = [one.prompt for one in whole.unsteered.contrast_outputs if one.label is Label.REFUSAL]
    steered, without_direction = {subsets[0]: whole}, {}
    for subset in [*subsets[1:], *refused_pairs(subsets[0].of, refused)]:
        try:
            readings.direction(method, subset)
        except SteergaugeError as reason:  # too few prompts for the method: a finding, not a mistake
            without_direction[subset] = str(reason)
            continue
        steered[subset] = steer_with(subset)
    return Measured(
        model=model.label,
        steered=steered,
        without_direction=without_direction,
        cosines={one: readings.cosines(method, one, subsets[0]) for one in steered},
        own_cosines={one: readings.cosines(method, one, whole_set(one.of)) for one in steered},
        by_size=readings.by_size(method, settings.sizes, settings.draws, settings.seed),
    )


def _gauge(settings: ExtractionSettings, model: StudiedModel, subset: Subset) -> GaugeSettings:
    return settings.gauge_settings(model, contrast_set=subset.contrast_set)


def _subsets(settings: ExtractionSettings) -> list[Subset]:
    """The whole first set; its parts; the other sets and theirs."""
    first, *others = settings.contrast_sets()
    found = subsets_of(first, settings.sizes, settings.seed, leave_one_out=settings.leave_one_out)
    for other in others:
        found += subsets_of(other, settings.sizes, settings.seed, leave_one_out=False)
    return found
