"""One worker of a Ray cluster: loads the driver's model once more, and runs an engine on it."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from typing import NamedTuple

import torch
import transformers

from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model, load_model
from steergauge.steering.checks import prober
from steergauge.steering.engine import AnySteering, Decoding, Engine, Generation, Request
from steergauge.steering.engines import EngineChoice, running_engine
from steergauge.steering.probe import Probe
from steergauge.steering.torch_engine import free_memory


class NoRoomError(SteergaugeError):
    """The device that a worker was given has too little memory: another may have enough."""


class Load(NamedTuple):
    """What a worker loads and runs.

    Attributes:
        model: as `load_model` takes it, on the worker's own disk.
        precision: as the driver resolved it.
        template: the chat template's source.
        fingerprint: of the driver's model, which the worker's must have.
        device: `cpu` or `cuda`.
        engine: which one.
        wave_rows: rows of a wave.
        max_new_tokens: of the longest generation.
        memory: bytes of the device that all this takes.
        versions: of the driver's packages, which the worker's must have.
    """

    model: str
    precision: str
    template: str
    fingerprint: str
    device: str
    engine: EngineChoice
    wave_rows: int
    max_new_tokens: int
    memory: int
    versions: Mapping[str, str]


class Identity(NamedTuple):
    """What a worker's engine is: all workers' must be the same, as generations are told apart by it."""

    name: str
    version: str


class Row(NamedTuple):
    """A request, its steering by its place among those of the wave: each of them travels once."""

    prompt: str
    steering: int
    decoding: Decoding


def package_versions() -> dict[str, str]:
    """What equal outputs rest on, beside the weights."""
    return {
        "steergauge": version("steergauge"),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


class Worker:
    """Lives in a process of its own, on the node and with the devices that Ray gave it."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._model: Model
        self._engine: Engine

    def start(self, load: Load, threads: int) -> Identity:
        """Loads the model and opens the engine.

        Args:
            load: what is loaded and run.
            threads: that torch computes with on a CPU.

        Raises:
            NoRoomError: the device has too little memory.
            SteergaugeError: the packages or the weights are not those of the driver, or the model cannot be loaded.
        """
        require_same_versions(load.versions)
        if load.device == "cpu":
            torch.set_num_threads(threads)
        elif (free := free_memory(load.device)) < load.memory:
            raise NoRoomError(f"{free / 2**30:.1f} GiB are free on a device of {socket.gethostname()}")
        model = load_model(load.model, precision=load.precision, device=load.device, template=load.template)
        if model.fingerprint != load.fingerprint:
            raise SteergaugeError(
                f"{load.model} is another model there (weights {model.checkpoint.digest[:12]}, from "
                f"{model.checkpoint.source}): give every node the same files"
            )
        self._engine = self._open.enter_context(
            running_engine(load.engine, model, load.wave_rows, load.max_new_tokens)
        )
        self._model = model
        return Identity(self._engine.name, self._engine.version)

    def generate(self, rows: Sequence[Row], *steerings: AnySteering) -> Iterator[tuple[int, Generation]]:
        """Runs one wave; yields as `Engine.generate`."""
        yield from self._engine.generate(
            [Request(row.prompt, steerings[row.steering], row.decoding) for row in rows]
        )

    def probe(self, prompt: str, steering: AnySteering, block: int) -> Probe:
        """What a steering does to one prompt after a block, here."""
        return prober(self._model, self._engine)(prompt, steering, block)


def require_same_versions(of_driver: Mapping[str, str]) -> None:
    """Refuses other packages than the driver's: they may make other outputs under the same name.

    Raises:
        SteergaugeError: naming the first that differs.
    """
    for package, here in package_versions().items():
        if here != of_driver.get(package):
            raise SteergaugeError(
                f"{package} is {here} there and {of_driver.get(package)} where the study runs: install the same "
                "on every node"
            )
