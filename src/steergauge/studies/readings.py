"""What was read off models already: the same prompts on the same model are read once, the same methods applied once."""

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, TypeVar

from steergauge.activations.hooks import Baseline, measure_baseline
from steergauge.directions.extract import ContrastReadings, Extracted, extract, read_contrast
from steergauge.directions.passes import Progress
from steergauge.models.loading import Model
from steergauge.prompts import ContrastSet

_Read = TypeVar("_Read")


class Readings:
    """Reads a model, and remembers it by its fingerprint and the prompts."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}

    def baseline(self, model: Model, prompts: Sequence[str]) -> Baseline:
        """As `measure_baseline`."""
        return self._once(
            ("baseline", model.fingerprint, tuple(prompts)), lambda: measure_baseline(model, prompts)
        )

    def contrast(self, model: Model, contrast_set: ContrastSet) -> ContrastReadings:
        """As `read_contrast`, with the reference backend."""
        return self._once(
            ("contrast", model.fingerprint, _prompts(contrast_set)),
            lambda: read_contrast(model, contrast_set),
        )

    def extracted(
        self,
        methods: Sequence[str],
        model: Model,
        contrast_set: ContrastSet,
        *,
        seed: int,
        progress: Progress | None = None,
    ) -> Extracted:
        """As `extract`, each method by itself, so that gauges which share some share what those cost."""
        found = Extracted({}, {}, None)
        readings = self.contrast(model, contrast_set)
        for method in methods:
            key = ("extracted", method, model.fingerprint, _prompts(contrast_set), seed)
            apply = partial(extract, [method], model, contrast_set, readings, seed=seed, progress=progress)
            one = self._once(key, apply)
            found = Extracted(
                found.directions | one.directions, found.selections | one.selections, one.heads or found.heads
            )
        return found

    def _once(self, key: Hashable, read: Callable[[], _Read]) -> _Read:
        if key not in self._kept:
            self._kept[key] = read()
        kept: _Read = self._kept[key]
        return kept


def _prompts(contrast_set: ContrastSet) -> Hashable:
    return tuple(contrast_set.positive), tuple(contrast_set.negative)
