"""The table of methods that choose a position and a block; they run the model, those of `methods.py` do not."""

from typing import Protocol

from steergauge.directions.arditi import arditi
from steergauge.directions.cosmic import cosmic_official, cosmic_study
from steergauge.directions.passes import Progress
from steergauge.directions.selection import Selection
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
