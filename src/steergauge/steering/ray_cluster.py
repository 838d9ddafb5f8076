"""A Ray cluster: joining it, and engines on it."""

import logging
import os
import re
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import torch

from steergauge.errors import SteergaugeError
from steergauge.models.extras import require_extra
from steergauge.models.loading import Model
from steergauge.steering.engines import EngineChoice, EngineName
from steergauge.steering.ray_engine import RayEngine
from steergauge.steering.ray_places import needs_of
from steergauge.steering.ray_pool import Pool, first_line
from steergauge.steering.ray_worker import Load, package_versions
from steergauge.steering.torch_engine import TorchEngine
from steergauge.steering.vllm_engine import MOST_ROWS

logger = logging.getLogger(__name__)

_HOST_AND_PORT = re.compile(r"(\[[0-9a-fA-F:]+\]|[\w.-]+):\d+")
_PATIENCE = 5.0  # seconds for an answer
ENVIRONMENT = {
    # Nobody is told of the run.
    "RAY_USAGE_STATS_ENABLED": "0",
    # What a node's last log lines were is not for the terminal.
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",
}


class RayCluster:
    """A cluster that this process has joined. Workers of one model run on it at a time.

    Args:
        address: `auto` for the cluster that this process has joined or this machine is a node of, `HOST:PORT` of
            its head, or `local` for one of this machine alone, which ends with it.

    Raises:
        SteergaugeError: Ray is not installed, or there is no such cluster.
    """

    def __init__(self, address: str) -> None:
        if address not in ("auto", "local") and not _HOST_AND_PORT.fullmatch(address):
            raise SteergaugeError(
                f"a Ray cluster is auto, local or HOST:PORT, not {address!r}; the study itself runs on a node of the "
                "cluster (docs/cluster.md)"
            )
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self.address = address
        self._ray = require_extra("ray", "ray", "a Ray cluster")
        self._joined_here = not self._ray.is_initialized()
        self._pool: Pool | None = None
        self._made_for: tuple[object, ...] = ()
        self._workers: Counter[str] = Counter()
        if self._joined_here:
            self._join()
        elif address not in ("auto", here := self._ray.get_runtime_context().gcs_address):
            raise SteergaugeError(
                f"this process has joined the Ray cluster at {here} already, so it cannot join {address}: give auto"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def engine(
        self, choice: EngineChoice, model: Model, wave_rows: int | None, max_new_tokens: int
    ) -> RayEngine:
        """An engine that runs a model on the cluster; its workers stay for the next engine of the same kind.

        Args:
            choice: which engine the workers run.
            model: the driver's; workers load it again, by its name.
            wave_rows: rows of a wave; None for as many as without Ray.
            max_new_tokens: of the longest generation.

        Raises:
            SteergaugeError: no node has room for it, or a node has other packages or other weights.
        """
        kind = (model.fingerprint, model.device, choice, wave_rows, max_new_tokens)
        if choice.name is EngineName.TORCH:
            rows = TorchEngine(model, wave_rows, max_new_tokens).wave_rows
        else:
            rows = wave_rows or MOST_ROWS
        if self._pool is None or self._made_for != kind:
            self._dismiss()  # first: two models may not fit
            self._pool = self._new_pool(choice, model, rows, max_new_tokens)
            self._made_for = kind
        return RayEngine(self._ray, self._pool, rows)

    def _new_pool(self, choice: EngineChoice, model: Model, rows: int, max_new_tokens: int) -> Pool:
        needs = needs_of(model, choice, rows, max_new_tokens, threads=torch.get_num_threads())
        load = Load(
            model=model.name,
            precision="/".join(
                [*([model.quantized.quantization.name] if model.quantized else []), model.precision]
            ),
            template=model.template.source,
            fingerprint=model.fingerprint,
            device=needs.device,
            engine=choice,
            wave_rows=rows,
            max_new_tokens=max_new_tokens,
            memory=needs.memory,
            versions=package_versions(),
        )
        return Pool(self._ray, load, needs)

    def describe(self) -> dict[str, str]:
        """What ran where, for a result."""
        workers = self._workers + (self._pool.started_on if self._pool else Counter())
        started = ", ".join(f"{count} on {address}" for address, count in sorted(workers.items()))
        return {"ray": f"Ray {self._ray.__version__}; workers started: {started or 'none'}"}

    def close(self) -> None:
        """Ends all workers and leaves the cluster."""
        self._dismiss()
        if self._joined_here:
            self._ray.shutdown()

    def _dismiss(self) -> None:
        if self._pool is not None:
            self._workers += self._pool.started_on
            self._pool.close()
        self._pool = None

    def _join(self) -> None:
        if self.address not in ("auto", "local"):
            _require_answer(self.address)
        options: dict[str, Any] = {"include_dashboard": False} if self.address == "local" else {}
        try:
            self._ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR, **options)
        except (ConnectionError, RuntimeError, TimeoutError, ValueError, OSError) as error:
            raise SteergaugeError(
                f"cannot join the Ray cluster {self.address}: {first_line(error).rstrip('.')}; start one with "
                "`ray start --head`, or use --ray local"
            ) from None


def _require_answer(address: str) -> None:
    """Refuses an address where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise SteergaugeError(
            f"nobody answers at {address} ({error}): give the HOST:PORT that `ray start --head` names"
        ) from None


@contextmanager
def joined(cluster: RayCluster | str | None) -> Iterator[RayCluster | None]:
    """A cluster while the context is open; one that was joined before stays joined.

    Raises:
        SteergaugeError: as `RayCluster`.
    """
    if not isinstance(cluster, str):
        yield cluster
        return
    with RayCluster(cluster) as opened:
        yield opened
