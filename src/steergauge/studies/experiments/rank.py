"""How many directions refusal needs, and whether that grows with size (paper, section 9, hypotheses 1 and 3)."""

from typing import Self

from pydantic import Field, model_validator

from steergauge.directions.importing import ImportedDirection
from steergauge.prompts import matched_contrast_set
from steergauge.studies.bench import Bench
from steergauge.studies.experiments.conditions import cautions_of
from steergauge.studies.experiments.experiment import Work, gauge_work
from steergauge.studies.experiments.rank_tables import rank_figure, rank_table, steered_figure, steered_table
from steergauge.studies.experiments.rank_verdicts import conclude
from steergauge.studies.experiments.ranked import Ranked, take_apart
from steergauge.studies.plan import block_at
from steergauge.studies.settings import GaugeSettings
from steergauge.studies.study_result import StudyFindings
from steergauge.studies.study_settings import Depths, OneMethodSettings, StudiedModel

_FEW_PAIRS = (
    "Few pairs show few directions: five can show none, since with n pairs the smallest p value of the first is 2¹⁻ⁿ. "
    "“No second direction shown” is not “one direction only”."
)


class RankSettings(OneMethodSettings):
    """Where the difference is taken apart, and how many of its directions are steered with."""

    depths: Depths = Field(default=(0.5,), description="A fraction of the blocks.")
    directions: int = Field(default=3, ge=1, description="Of the sequence at most, to steer with.")

    @model_validator(mode="after")
    def _one_depth(self) -> Self:
        for model in self.models:
            if len(model.depths or self.depths) != 1:
                raise ValueError(
                    f"{model.label} needs one depth, in its own `depths` or the study's: directions are counted at one block"
                )
        return self


class Rank:
    """Is refusal one direction, and less so in larger models?"""

    settings = RankSettings

    def plan(self, settings: RankSettings) -> list[Work]:
        """A gauge a model, with the sequence's directions beside its own method's."""
        parts = []
        for model in settings.models:
            gauge = _gauge_settings(settings, model)
            work = gauge_work(model, "directions of the sequence", gauge)
            doses = work.conditions - gauge.random_directions - 1  # of one method at one block
            parts.append(work.with_more(settings.directions * doses, len(gauge.evaluation_set.prompts)))
        return parts

    def run(self, settings: RankSettings, bench: Bench) -> StudyFindings:
        """Takes every model's difference apart, and steers with the parts."""
        ranks = [_ranked(model, settings, bench) for model in settings.models]
        return StudyFindings(
            tables=(rank_table(ranks), steered_table(ranks)),
            figures=(rank_figure(ranks), steered_figure(ranks)),
            conclusions=conclude(ranks),
            cautions=(_FEW_PAIRS, *cautions_of({one.model.label: one.result for one in ranks})),
        )


def _gauge_settings(settings: RankSettings, model: StudiedModel) -> GaugeSettings:
    """Those of the study, with the twenty built-in pairs where no set is named: five can show one direction at most."""
    own = {} if settings.contrast else {"contrast_set": matched_contrast_set()}
    return settings.gauge_settings(model, **own)


def _ranked(model: StudiedModel, settings: RankSettings, bench: Bench) -> Ranked:
    gauge = _gauge_settings(settings, model)
    loaded = bench.model(model)
    readings = bench.readings.contrast(loaded, gauge.contrast_set)
    block = block_at(gauge.depths[0], len(loaded.blocks))
    parts = take_apart(readings, block, settings.directions, settings.seed)
    given = {
        one.method: ImportedDirection(one, "the sequence of the class difference") for one in parts.sequence
    }
    return Ranked(model, parts, bench.gauge(model.label, model, gauge, given))
