"""What a study measures with: one model in memory at a time, one store, and every gauge once."""

import gc
import time
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from steergauge.models.loading import Model, load_model
from steergauge.models.precision import resolve_device
from steergauge.store import Store
from steergauge.studies import provenance
from steergauge.studies.gauge import gauge
from steergauge.studies.result import GaugeResult
from steergauge.studies.run import Progress, Silent
from steergauge.studies.settings import GaugeSettings
from steergauge.studies.study_settings import StudiedModel


class Bench:
    """Loads models as they are asked for and measures them; what was measured before is not measured again.

    Args:
        store: where generations are kept and found again.
        device: as `load_model` takes it.
        progress: is told how each gauge goes on.
        models: loaded models by name, which are taken in place of loading them.
    """

    def __init__(
        self,
        store: Store,
        device: str = "auto",
        progress: Progress | None = None,
        models: dict[str, Model] | None = None,
    ) -> None:
        self.store, self.progress = store, progress or Silent()
        self.started, self._clock = datetime.now(UTC), time.monotonic()
        self._device, self._given = device, models or {}
        self._held = store.count()
        self._asked: StudiedModel | None = None
        self._loaded: Model | None = None
        self._gauges: dict[tuple[str, str, str], GaugeResult] = {}
        self.gauges: dict[str, GaugeResult] = {}

    @property
    def seconds(self) -> float:
        """Since the bench was set up."""
        return time.monotonic() - self._clock

    def model(self, studied: StudiedModel) -> Model:
        """The model, loaded; the one that was in memory before it leaves."""
        if studied.name in self._given:
            return self._given[studied.name]
        if self._loaded is None or self._asked is None or _identity(self._asked) != _identity(studied):
            self._loaded = None  # first: two models may not fit
            gc.collect()
            self._loaded = load_model(studied.name, precision=studied.precision, device=self._device)
            self._asked = studied
        return self._loaded

    def gauge(self, label: str, studied: StudiedModel, settings: GaugeSettings) -> GaugeResult:
        """Measures a model, or returns what was measured with the same settings before.

        Args:
            label: names the gauge in the study's result.
            studied: the model.
            settings: the protocol.

        Raises:
            SteergaugeError: as `gauge`.
        """
        key = (*_identity(studied), settings.model_dump_json())
        if key not in self._gauges:
            self._gauges[key] = gauge(self.model(studied), settings, store=self.store, progress=self.progress)
        self.gauges[label] = self._gauges[key]
        return self._gauges[key]

    def provenance(self) -> dict[str, Any]:
        """Versions, hardware and times, for the result."""
        return {
            "steergauge": version("steergauge"),
            "versions": provenance.versions(),
            "hardware": provenance.hardware(resolve_device(self._device)),
            "started": self.started.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 1),
            "made_now": self.store.count() - self._held,
        }


def _identity(studied: StudiedModel) -> tuple[str, str]:
    return studied.name, studied.precision
