"""What a study measures with: one model in memory at a time, one store, and every gauge once."""

import gc
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from steergauge.directions.importing import ImportedDirection
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model, load_model
from steergauge.models.precision import resolve_device
from steergauge.steering.engines import EngineChoice, EngineName
from steergauge.steering.ray_cluster import RayCluster
from steergauge.store import Store
from steergauge.studies import provenance
from steergauge.studies.gauge import gauge
from steergauge.studies.readings import Readings
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
        models: loaded models by their labels, which are taken in place of loading them.
        engine: what generates, as `gauge` takes it.
        tensor_parallel: devices that it splits each matrix over.
        cluster: where outputs are made; None: here.
    """

    def __init__(
        self,
        store: Store,
        device: str = "auto",
        progress: Progress | None = None,
        models: Mapping[str, Model] | None = None,
        *,
        engine: str = "auto",
        tensor_parallel: int = 1,
        cluster: RayCluster | None = None,
    ) -> None:
        self.store, self.progress = store, progress or Silent()
        self._engine, self._tensor_parallel, self.cluster = engine, tensor_parallel, cluster
        self.started, self._clock = datetime.now(UTC), time.monotonic()
        self._device, self._given = device, models or {}
        self.readings = Readings()
        self._asked: str | None = None
        self._loaded: Model | None = None
        self._measured: dict[tuple[str, str], GaugeResult] = {}
        self.gauges: dict[str, GaugeResult] = {}
        self._added_before = store.added

    @property
    def seconds(self) -> float:
        """Since the bench was set up."""
        return time.monotonic() - self._clock

    @property
    def made_now(self) -> int:
        """Generations that the store did not hold when the bench was set up."""
        return self.store.added - self._added_before

    def model(self, studied: StudiedModel) -> Model:
        """The model, loaded; the one that was in memory before it leaves.

        Raises:
            SteergaugeError: as `load_model`.
        """
        if studied.label in self._given:
            return self._given[studied.label]
        if self._loaded is None or self._asked != studied.label:
            self._loaded = None  # first: two models may not fit
            gc.collect()
            self._loaded = load_model(studied.name, precision=studied.precision, device=self._device)
            self._asked = studied.label
        return self._loaded

    def gauge(
        self,
        label: str,
        studied: StudiedModel,
        settings: GaugeSettings,
        given: Mapping[str, ImportedDirection] | None = None,
    ) -> GaugeResult:
        """Measures a model, or returns what was measured with the same settings before.

        Args:
            label: names the gauge in the study's result.
            studied: the model.
            settings: the protocol.
            given: directions to measure beside those of the settings, by name.

        Raises:
            SteergaugeError: as `gauge`.
            ValueError: another gauge of this study has the label.
        """
        digests = {name: one.direction.digest for name, one in (given or {}).items()}
        key = studied.label, f"{settings.model_dump_json()} {digests}"
        if key not in self._measured:
            self._measured[key] = gauge(
                self.model(studied),
                settings,
                store=self.store,
                progress=_Labelled(label, self.progress),
                readings=self.readings,
                given=given,
                engine=self._engine,
                tensor_parallel=self._tensor_parallel,
                ray=self.cluster,
            )
        found = self._measured[key]
        if self.gauges.setdefault(label, found) is not found:
            raise ValueError(f"two gauges of a study have the label {label!r}")
        return found

    def torch_engine(self, why: str) -> EngineChoice:
        """The torch engine, for what no other does.

        Args:
            why: none other does it, after "this study".

        Raises:
            SteergaugeError: another one was asked for.
        """
        if self._engine == EngineName.VLLM or self._tensor_parallel > 1:
            raise SteergaugeError(
                f"this study {why}, which vllm does not: use --engine torch, without --tensor-parallel"
            )
        return EngineChoice(EngineName.TORCH, f"this study {why}")

    def provenance(self) -> dict[str, Any]:
        """Versions, hardware and times, for the result."""
        return {
            "steergauge": version("steergauge"),
            "versions": provenance.versions(),
            "hardware": provenance.hardware(resolve_device(self._device))
            | (self.cluster.describe() if self.cluster else {}),
            "started": self.started.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 1),
            "made_now": self.store.added - self._added_before,
        }


class _Labelled:
    """Progress that says of which gauge it is."""

    def __init__(self, label: str, progress: Progress) -> None:
        self._label, self._progress = label, progress

    def begin(self, stage: str, rows: int) -> None:
        self._progress.begin(f"{self._label}: {stage}", rows)

    def advance(self, rows_done: int, tokens: int) -> None:
        self._progress.advance(rows_done, tokens)
