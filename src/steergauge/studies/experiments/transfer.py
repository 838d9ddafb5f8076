"""One model's direction in another: directly at equal widths, through a fitted map at any (paper, section 11)."""

from collections.abc import Sequence
from typing import Self

from pydantic import Field, model_validator

from steergauge.steering.dose import DoseUnit
from steergauge.studies.bench import Bench
from steergauge.studies.experiments.conditions import best_of, cautions_of
from steergauge.studies.experiments.experiment import Work, gauge_work
from steergauge.studies.experiments.lending import How, Source, Transferred, lend, transferred
from steergauge.studies.experiments.transfer_tables import transfer_matrix, transfer_table
from steergauge.studies.experiments.transfer_verdicts import conclude
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_result import StudyFindings
from steergauge.studies.study_settings import OneMethodSettings, StudiedModel

_MAP_CAUTION = (
    "A map is fitted on the prompts that are then measured on. It sees the stream of unsteered models at their last "
    "token only: no outputs, and no contrast prompts."
)


class TransferSettings(OneMethodSettings):
    """Which models lend and take directions."""

    map: bool = Field(
        default=False,
        description="Also carry directions through a linear map fitted on the evaluation prompts, at any widths.",
    )

    @model_validator(mode="after")
    def _two_models(self) -> Self:
        if len(self.models) < 2:
            raise ValueError("one model has nobody to lend a direction to; give two models at least")
        if self.unit not in (DoseUnit.RAW, DoseUnit.RELATIVE):
            raise ValueError(
                f"in the unit {self.unit} a lent direction would not have the dose of the target's own; "
                "use raw or relative"
            )
        return self


class Transfer:
    """Does one model's direction steer another?"""

    settings = TransferSettings

    def plan(self, settings: TransferSettings) -> list[Work]:
        """A grid a model, and at one block and dose its own direction and those of all others."""
        lent = (len(settings.models) - 1) * (2 if settings.map else 1)
        parts = []
        for model in settings.models:
            one = settings.gauge_settings(model, depths=(0.5,), doses=(1.0,))
            parts += [
                gauge_work(model, "grid", settings.gauge_settings(model)),
                gauge_work(model, "directions of others", one).with_more(
                    lent, len(one.evaluation_set.prompts)
                ),
            ]
        return parts

    def run(self, settings: TransferSettings, bench: Bench) -> StudyFindings:
        """Gauges every model, then every model with every other's direction."""
        own, sources = dict[str, GaugeResult](), list[Source]()
        for model in settings.models:
            own[model.label] = bench.gauge(model.label, model, settings.gauge_settings(model))
            sources.append(_source(model, settings, bench))
        pairs = [
            pair
            for target in sources
            for pair in _into(target, sources, own[target.model.label], settings, bench)
        ]
        hows = (How.DIRECT, How.MAPPED) if settings.map else (How.DIRECT,)
        return StudyFindings(
            tables=(transfer_table(pairs),),
            figures=tuple(transfer_matrix(how, own, pairs) for how in hows),
            conclusions=conclude(pairs),
            cautions=(*([_MAP_CAUTION] if settings.map else []), *cautions_of(own)),
        )


def _source(model: StudiedModel, settings: TransferSettings, bench: Bench) -> Source:
    """What a model lends; its gauge has read it already."""
    loaded, gauge = bench.model(model), settings.gauge_settings(model)
    found = bench.readings.extracted(settings.methods, loaded, gauge.contrast_set, seed=settings.seed)
    prompts = [prompt.text for prompt in gauge.evaluation_set.prompts]
    return Source(
        model, found.directions[settings.methods[0]], bench.readings.baseline(loaded, prompts).streams
    )


def _into(
    target: Source, sources: Sequence[Source], own: GaugeResult, settings: TransferSettings, bench: Bench
) -> list[Transferred]:
    """Steers a target with every other model's direction at the block and dose that were best for its own."""
    best = best_of(own)
    lent = [
        one for source in sources if source is not target for one in lend(source, target, mapped=settings.map)
    ]
    if best is None or not lent:
        return []
    gauge = settings.gauge_settings(
        target.model, depths=(best.block / own.model.blocks,), doses=(best.dose.value,)
    )
    label = f"{target.model.label}, lent"
    result = bench.gauge(label, target.model, gauge, {one.name: one.given for one in lent})
    return [transferred(one, target.model, own, (label, result), settings.methods[0]) for one in lent]
