"""The contrast sets that a study sets beside each other."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from steergauge.errors import SteergaugeError
from steergauge.prompts import ContrastSet, load_contrast_set, matched_contrast_set, study_contrast_set
from steergauge.studies.study_settings import StudySettings


class SeveralSetsSettings(StudySettings):
    """The first contrast set, and others of the same behaviour."""

    contrasts: tuple[Path, ...] | None = Field(
        default=None, description="Other contrast sets; None: the built-in one of twenty pairs."
    )

    def contrast_sets(self) -> list[ContrastSet]:
        """All of them, the first one first.

        Raises:
            SteergaugeError: a file cannot be used, or two sets have one name.
        """
        first = study_contrast_set() if self.contrast is None else load_contrast_set(self.contrast)
        others = (
            [matched_contrast_set()]
            if self.contrasts is None
            else [load_contrast_set(path) for path in self.contrasts]
        )
        sets = [first, *others]
        names = [one.name for one in sets]
        if len(set(names)) < len(names):
            raise SteergaugeError(f"contrast sets need names of their own, and there are {', '.join(names)}")
        return sets


def sizes_in_words(sets: Sequence[ContrastSet]) -> str:
    """How many prompts a class each set has."""
    return ", ".join(f"{one.name} {len(one.positive)} and {len(one.negative)}" for one in sets)
