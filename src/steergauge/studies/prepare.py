"""Everything of a gauge that comes before the first output: readings, directions, doses, conditions."""

from collections.abc import Mapping
from typing import NamedTuple

from steergauge.activations.hooks import Baseline
from steergauge.directions.direction import Direction
from steergauge.directions.extract import ITI, Extracted, require_methods
from steergauge.directions.importing import ImportedDirection, import_directions
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.steering.class_means import class_means
from steergauge.steering.dose import Yardsticks
from steergauge.studies.plan import ChosenDoses, PlannedCondition, block_at, choose_doses, plan_conditions
from steergauge.studies.readings import Readings
from steergauge.studies.run import Progress, RowsDone
from steergauge.studies.settings import GaugeSettings


class Prepared(NamedTuple):
    """What a gauge of one model will steer with.

    Attributes:
        baseline: the unsteered stream on the evaluation prompts.
        found: what the methods extracted.
        imported: directions that came from elsewhere, by the names that they are measured under.
        directions: both, by name.
        yardsticks: of each direction in the stream.
        doses: of the grid.
        conditions: every method × block × dose.
    """

    baseline: Baseline
    found: Extracted
    imported: Mapping[str, ImportedDirection]
    directions: dict[str, Direction]
    yardsticks: dict[str, Yardsticks]
    doses: ChosenDoses
    conditions: list[PlannedCondition]


def prepare(
    model: Model,
    settings: GaugeSettings,
    readings: Readings,
    progress: Progress,
    given: Mapping[str, ImportedDirection] | None = None,
) -> Prepared:
    """Reads a model, extracts its directions, and plans the conditions.

    Args:
        model: what will be steered.
        settings: the protocol.
        readings: of earlier gauges, which are not made again.
        progress: is told how it goes on.
        given: directions to measure beside those of the settings, by the names that they are measured under.

    Raises:
        SteergaugeError: a method, direction, block or dose cannot be used, or two directions have one name.
    """
    require_methods(settings.methods)
    blocks = [block_at(depth, len(model.blocks)) for depth in settings.depths]
    prompts = [prompt.text for prompt in settings.evaluation_set.prompts]
    progress.begin("reading activations", len(prompts))
    baseline = readings.baseline(model, prompts)
    contrast = readings.contrast(model, settings.contrast_set)
    progress.advance(len(prompts), 0)
    found = readings.extracted(
        settings.methods,
        model,
        settings.contrast_set,
        seed=settings.seed,
        progress=RowsDone("selecting a direction", progress),
    )
    blocks += [selection.block for selection in found.selections.values()]
    imported = import_directions(settings.directions, model, contrast, blocks)
    for name, one in (given or {}).items():
        if name in found.directions or name in imported or (name == ITI and found.heads):
            raise SteergaugeError(
                f"two directions would be measured under the name {name!r}; give one another"
            )
        imported[name] = one
    directions = found.directions | {name: one.direction for name, one in imported.items()}
    for direction in directions.values():
        direction.require_fit(len(model.blocks), model.blocks.width, model.name)
    means = class_means(*contrast)
    yardsticks = {
        name: Yardsticks(direction, baseline.residual_norms, baseline.streams, means)
        for name, direction in directions.items()
    }
    doses = choose_doses(settings, model.checkpoint.entry, baseline.residual_norms)
    conditions = plan_conditions(settings, blocks, doses.values, yardsticks, found.heads)
    return Prepared(baseline, found, imported, directions, yardsticks, doses, conditions)
