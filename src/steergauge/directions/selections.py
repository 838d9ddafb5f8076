"""The table of methods that choose a position and a block; they run the model, those of `methods.py` do not."""

from typing import Protocol

from steergauge.directions.arditi import SIZES as ARDITI_SIZES
from steergauge.directions.arditi import arditi
from steergauge.directions.cosmic import SIZES as COSMIC_SIZES
from steergauge.directions.cosmic import STUDY_POSITIONS, cosmic_official, cosmic_study
from steergauge.directions.passes import Progress
from steergauge.directions.selection import Selection
from steergauge.directions.split import split_classes
from steergauge.models.loading import Model
from steergauge.prompts import ContrastSet


class Select(Protocol):
    """Tries candidates on a model, and chooses one."""

    def __call__(
        self, model: Model, contrast: ContrastSet, *, seed: int = 0, progress: Progress | None = None
    ) -> Selection:
        """Chooses among the differences in means of the positive and the negative prompts."""
        ...


SELECTIONS: dict[str, Select] = {
    "cosmic_official": cosmic_official,
    "cosmic_study": cosmic_study,
    "arditi": arditi,
}

_SIZES = {"cosmic_official": COSMIC_SIZES, "arditi": ARDITI_SIZES}


def selection_readings(name: str, contrast: ContrastSet) -> int:
    """Whole runs of a prompt that a selecting method takes for each block, at most; of five positions.

    COSMIC's rows begin at their edit, so half of the blocks run on average; arditi's ablate everywhere.
    """
    prompts = len(contrast.positive) + len(contrast.negative)
    if name in _SIZES:
        split = split_classes(contrast.positive, contrast.negative, _SIZES[name], seed=0)
        prompts = len(split.select_positive) + 2 * len(split.select_negative)
    rows = len(STUDY_POSITIONS) * prompts
    return rows if name == "arditi" else rows // 2
