"""A model in one precision beside itself in full precision."""

from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.cross_cosine import cosines_by_block
from steergauge.directions.direction import Direction
from steergauge.studies.analysis import compare
from steergauge.studies.experiments.conditions import answered_by_both, labels_of
from steergauge.studies.measurements import Comparison, ConditionResult, Rate
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_settings import StudiedModel


class Origin(StrEnum):
    """Which weights a direction was extracted from."""

    OWN = "own"
    CARRIED = "carried over"


class Quantized(NamedTuple):
    """One condition in one precision, against full precision's best.

    Attributes:
        gauge: the label of the gauge that holds it.
        full: the best condition in full precision.
        unsteered: the refusals of the model in this precision without steering.
        comparison: paired with full precision, on the prompts that both answer unsteered; None if there is none.
        cosines: of this precision's own direction with full precision's, (blocks,).
        norm_ratio: the median over blocks of their raw norms' ratio.
    """

    model: StudiedModel
    origin: Origin
    gauge: str
    condition: ConditionResult
    full: ConditionResult
    unsteered: Rate
    comparison: Comparison | None
    cosines: NDArray[np.float64]
    norm_ratio: float

    @property
    def median_cosine(self) -> float:
        """Over blocks."""
        return float(np.median(self.cosines))


def quantized(
    model: StudiedModel,
    origin: Origin,
    measured: tuple[GaugeResult, ConditionResult],
    reference: tuple[GaugeResult, ConditionResult],
    directions: tuple[Direction, Direction],
) -> Quantized:
    """Compares a condition with full precision's.

    Args:
        model: in its precision.
        origin: of the direction that was steered with.
        measured: the gauge in this precision, and its condition.
        reference: the gauge in full precision, and its best condition.
        directions: the one extracted in this precision, and full precision's.
    """
    (result, condition), (full, best) = measured, reference
    own, original = directions
    prompts = answered_by_both(result, full)
    return Quantized(
        model=model,
        origin=origin,
        gauge=model.label,
        condition=condition,
        full=best,
        unsteered=result.unsteered.refusal,
        comparison=compare(labels_of(result, condition.id), labels_of(full, best.id), prompts)
        if prompts
        else None,
        cosines=cosines_by_block(own, original),
        norm_ratio=float(np.median(own.raw_norms / original.raw_norms)),
    )
