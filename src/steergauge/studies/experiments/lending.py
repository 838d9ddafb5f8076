"""What one model lends another: its direction, as it is or through a fitted map, and what that did there."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.cross_cosine import cross_cosine
from steergauge.directions.depth import at_matched_depths
from steergauge.directions.direction import Direction
from steergauge.directions.importing import ImportedDirection
from steergauge.directions.stream_map import fit_stream_map
from steergauge.judging.label import Label
from steergauge.statistics.transfer import TransferEfficiency, study_transfer_efficiency, transfer_efficiency
from steergauge.studies.analysis import Labels, compare, rate
from steergauge.studies.experiments.conditions import answered, best_of, labels_of
from steergauge.studies.measurements import Comparison, ConditionResult, Rate
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_result import Estimate
from steergauge.studies.study_settings import StudiedModel


class How(StrEnum):
    """How a direction comes into another model: with its own coordinates, or through a linear map."""

    DIRECT = "direct"
    MAPPED = "mapped"


class Source(NamedTuple):
    """What a model lends.

    Attributes:
        streams: unsteered, at the last token of the evaluation prompts, (prompts, blocks, width).
    """

    model: StudiedModel
    direction: Direction
    streams: NDArray[np.float32]


class Lent(NamedTuple):
    """A direction as it arrives in a target.

    Attributes:
        cosines: with the target's own, (target blocks,).
        held_out_r2: of the map to each block, (target blocks,); None where there is none.
    """

    source: StudiedModel
    how: How
    given: ImportedDirection
    cosines: NDArray[np.float64]
    held_out_r2: NDArray[np.float64] | None

    @property
    def name(self) -> str:
        """What it is measured under."""
        return f"{self.source.label}, {self.how}"


class Transferred(NamedTuple):
    """What a lent direction did, beside the target's own at the same block and dose.

    Attributes:
        gauge: the label of the gauge that holds both.
        own: the target's own condition.
        lent: the condition with the source's direction.
        own_rate: coherent refusal on the prompts that the block and dose were not chosen on.
        lent_rate: of the same prompts.
        comparison: of the two, paired on these prompts.
        efficiency: lent over own on these prompts, with the interval of resampled prompts; none if own is 0.
        as_the_study: lent over own on all answered prompts, each side resampled by itself.
        random: the strongest random vector of the same dose, on all answered prompts.
        cosine: with the target's own direction, at the block.
        held_out_r2: of the map to the block, if it is mapped.
    """

    source: StudiedModel
    target: StudiedModel
    how: How
    gauge: str
    own: ConditionResult
    lent: ConditionResult
    own_rate: Rate
    lent_rate: Rate
    comparison: Comparison
    efficiency: Estimate
    as_the_study: Estimate
    random: Rate | None
    cosine: float
    held_out_r2: float | None


def lend(source: Source, target: Source, *, mapped: bool) -> list[Lent]:
    """The source's direction in the target's stream: directly where the widths are equal, and mapped if asked for.

    Raises:
        SteergaugeError: a map cannot be fitted, or takes the direction to zero.
    """
    blocks, width = target.direction.blocks, target.direction.width
    lent = []
    if source.direction.width == width:
        given = ImportedDirection(
            at_matched_depths(source.direction, blocks, width), f"{source.model.label}, at matched depths"
        )
        cosines = cross_cosine(source.direction, target.direction)
        lent.append(Lent(source.model, How.DIRECT, given, cosines, None))
    if mapped:
        fitted = fit_stream_map(source.streams, target.streams)
        carried = fitted.carry(source.direction).direction
        given = ImportedDirection(
            carried, f"{source.model.label}, through a map fitted on {len(source.streams)} prompts"
        )
        cosines = cross_cosine(carried, target.direction)
        lent.append(Lent(source.model, How.MAPPED, given, cosines, fitted.held_out_r2))
    return lent


def transferred(
    lent: Lent, target: StudiedModel, own: GaugeResult, measured: tuple[str, GaugeResult], method: str
) -> Transferred:
    """Reads one lent direction's outcome off the target's gauges.

    Args:
        lent: the direction.
        target: the model that it steers.
        own: the target's grid, which chose block and dose.
        measured: label and result of the gauge with the lent directions at that block and dose.
        method: how the target's own direction was extracted.
    """
    label, result = measured
    chosen, held_out = best_of(own), own.best.reporting_prompts if own.best else []
    assert chosen is not None
    by_method = {condition.method: condition for condition in result.conditions}
    here, there = by_method[lent.name], by_method[method]
    lent_labels, own_labels = labels_of(result, here.id), labels_of(result, there.id)
    control = result.random_control
    return Transferred(
        source=lent.source,
        target=target,
        how=lent.how,
        gauge=label,
        own=there,
        lent=here,
        own_rate=rate(own_labels, Label.REFUSAL, held_out),
        lent_rate=rate(lent_labels, Label.REFUSAL, held_out),
        comparison=compare(lent_labels, own_labels, held_out),
        efficiency=_efficiency(lent_labels, own_labels, held_out),
        as_the_study=_as_the_study(lent_labels, own_labels, answered(result)),
        random=None
        if control is None
        else next(one.effect for one in control.directions if one.seed == control.strongest_seed),
        cosine=float(lent.cosines[chosen.block]),
        held_out_r2=None if lent.held_out_r2 is None else float(lent.held_out_r2[chosen.block]),
    )


def _efficiency(lent: Labels, own: Labels, prompts: list[str]) -> Estimate:
    first, second = _refused(lent, own, prompts), _refused(own, lent, prompts)
    return _estimate(transfer_efficiency(first, second) if any(second.values()) else None)


def _as_the_study(lent: Labels, own: Labels, prompts: list[str]) -> Estimate:
    first, second = list(_refused(lent, own, prompts).values()), list(_refused(own, lent, prompts).values())
    return _estimate(study_transfer_efficiency(first, second) if any(second) else None)


def _refused(labels: Labels, other: Labels, prompts: list[str]) -> Mapping[str, bool]:
    """Prompt → whether it is refused, of those that are scored under both directions."""
    return {
        prompt: labels[prompt] is Label.REFUSAL
        for prompt in prompts
        if labels[prompt] is not None and other[prompt] is not None
    }


def _estimate(found: TransferEfficiency | None) -> Estimate:
    if found is None:
        return Estimate(value=None)
    return Estimate(value=found.ratio, low=found.low, high=found.high)
