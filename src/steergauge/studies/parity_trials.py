"""The directions that a parity study steers with: one a backend or mistake and block."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steergauge.activations.activations import Capture
from steergauge.activations.backends import BACKENDS, REFERENCE
from steergauge.activations.faults import ReadingFault, reading_faults
from steergauge.activations.parity import Outcome, Parity, in_one_line, measure_parity
from steergauge.directions.extract import read_contrast
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.prompts import ContrastSet
from steergauge.steering.faults import STEERING_FAULTS, SteeringFault
from steergauge.studies.run import Progress
from steergauge.studies.tool_readings import ToolReadings


@dataclass(frozen=True, eq=False)
class Right:
    """The reference's readings, and the directions and raw doses that the study steers with, by block."""

    readings: ToolReadings
    vectors: Mapping[int, NDArray[np.float32]]
    doses: Mapping[int, float]

    def differs(self, vector: NDArray[np.float32] | None, block: int) -> bool:
        """Whether there is a vector to generate with, and not the reference's own, bit for bit."""
        return vector is not None and not np.array_equal(vector, self.vectors[block])


@dataclass(frozen=True, eq=False)
class Trial:
    """What one source reads at one block.

    Attributes:
        source: the backend's or the mistake's name.
        readings: what the direction comes from; None where the mistake is made in steering.
        vector: û, (width,); None where the readings give no direction.
    """

    source: str
    block: int
    readings: ToolReadings | None
    vector: NDArray[np.float32] | None

    @property
    def id(self) -> str:
        """Names it in results."""
        return condition_id(self.source, self.block)


@dataclass(frozen=True, eq=False)
class BackendTrials:
    """A backend's outcome and its directions; none where it raised."""

    parity: Parity
    readings: ToolReadings | None
    trials: Sequence[Trial]


@dataclass(frozen=True, eq=False)
class FaultTrials:
    """A mistake and its directions; none where it is impossible or raised.

    Attributes:
        readings: those of all blocks; None where the mistake differs by block, or is made in steering.
    """

    fault: ReadingFault | SteeringFault
    impossible: str | None
    error: str | None
    readings: ToolReadings | None
    trials: Sequence[Trial]


def condition_id(source: str, block: int) -> str:
    """What the condition of a backend or a mistake is called in results."""
    return f"{source.replace(' ', '-')}-block{block}"


def compare_backends(
    model: Model, contrast: ContrastSet, right: Right, progress: Progress
) -> list[BackendTrials]:
    """Every backend but the reference: its parity on the contrast prompts, and its direction at each block."""
    others = {name: capture for name, capture in BACKENDS.items() if name != REFERENCE}
    progress.begin("reading with each backend", len(others))
    compared = []
    for name, capture in others.items():
        (parity,) = measure_parity(model, [*contrast.positive, *contrast.negative], {name: capture})
        readings = None
        if parity.outcome not in (Outcome.ERROR, Outcome.NO_REFERENCE):
            readings = ToolReadings(*read_contrast(model, contrast, capture))
        trials = [_trial(name, block, readings) for block in right.vectors] if readings else []
        compared.append(BackendTrials(parity, readings, trials))
        progress.advance(1, 0)
    return compared


def make_reading_faults(
    model: Model, contrast: ContrastSet, right: Right, progress: Progress
) -> list[FaultTrials]:
    """Every mistake of the table made in reading, with the direction that it gives at each block."""
    tables = {
        block: reading_faults(block, np.float32(right.doses[block]) * right.vectors[block])
        for block in right.vectors
    }
    progress.begin("reading with each mistake", len(next(iter(tables.values()))))
    made = []
    for same_fault in zip(*tables.values(), strict=True):
        by_block = dict(zip(tables, same_fault, strict=True))
        made.append(_make(model, contrast, by_block))
        progress.advance(1, 0)
    return made


def _make(model: Model, contrast: ContrastSet, by_block: Mapping[int, ReadingFault]) -> FaultTrials:
    fault = next(iter(by_block.values()))
    if impossible := fault.impossible(model):
        return FaultTrials(fault, impossible, None, None, [])
    read: dict[Capture, ToolReadings] = {}
    try:
        for one in by_block.values():
            if one.capture not in read:
                read[one.capture] = ToolReadings(*read_contrast(model, contrast, one.capture))
    except Exception as error:  # whatever a mistake raises is a finding: it does not go unnoticed
        return FaultTrials(fault, None, in_one_line(error), None, [])
    trials = [_trial(one.name, block, read[one.capture]) for block, one in by_block.items()]
    return FaultTrials(fault, None, None, read[fault.capture] if len(read) == 1 else None, trials)


def _trial(source: str, block: int, readings: ToolReadings) -> Trial:
    try:
        return Trial(source, block, readings, readings.vector(block))
    except SteergaugeError:  # the classes do not differ there, or are not finite
        return Trial(source, block, readings, None)


def plan_steering_faults(model: Model, right: Right) -> list[FaultTrials]:
    """Every mistake of the table made in steering, with the right directions."""
    return [
        FaultTrials(
            fault,
            impossible := fault.impossible(model),
            None,
            None,
            []
            if impossible
            else [Trial(fault.name, block, None, vector) for block, vector in right.vectors.items()],
        )
        for fault in STEERING_FAULTS
    ]
