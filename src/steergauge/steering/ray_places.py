"""Where in a Ray cluster workers have room: so many on each node, by what a worker takes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.models.size import measure_size
from steergauge.steering.engines import EngineChoice, EngineName
from steergauge.steering.torch_engine import row_bytes

# What a worker's process takes before it loads a model: Python, torch and transformers.
_PROCESS = 600 << 20


class Needs(NamedTuple):
    """What one worker takes.

    Attributes:
        device: `cpu` or `cuda`.
        devices: GPUs of each worker; 0 on CPUs.
        threads: CPUs of each worker; on a node that has fewer, all of them. A worker with GPUs takes 1.
        memory: bytes of the device, or of the group together.
    """

    device: str
    devices: int
    threads: int
    memory: int

    def __str__(self) -> str:
        """In words."""
        gibibytes = f"{self.memory / 2**30:.1f} GiB"
        if self.device == "cpu":
            return f"a CPU and {gibibytes} of memory"
        return f"{self.devices} GPU{'s' if self.devices > 1 else ''} with {gibibytes}"


class Place(NamedTuple):
    """Room for one worker."""

    node: str  # Ray's id of it
    address: str
    number: int  # on its node, from 0
    threads: int


def needs_of(model: Model, choice: EngineChoice, rows: int, max_new_tokens: int, *, threads: int) -> Needs:
    """What a worker takes that runs a model as the driver does.

    Args:
        model: the driver's.
        choice: the engine that runs it.
        rows: of a wave.
        max_new_tokens: of the longest generation.
        threads: that torch computes with on a CPU.

    Raises:
        SteergaugeError: the model is on a device that Ray does not hand out, or is to be split over several CPUs.
    """
    kind = model.device.partition(":")[0]
    if kind not in ("cpu", "cuda"):
        raise SteergaugeError(
            f"a Ray cluster has CPUs and GPUs, and the model is on {kind}: use --device cpu"
        )
    if kind == "cpu" and choice.tensor_parallel > 1:
        raise SteergaugeError(
            "--tensor-parallel on a Ray cluster is for GPUs: a worker on a CPU takes more threads instead "
            "(OMP_NUM_THREADS)"
        )
    doubled = choice.name is EngineName.VLLM
    size, element = measure_size(model.checkpoint.folder), model.precision.dtype.itemsize
    # Quantised models are loaded in their precision first; vllm runs beside a model that it is checked against.
    weights = size.parameters * element * (2 if doubled else 1)
    # vllm shares out what memory there is among the rows of a wave; one has to fit.
    held = 1 if doubled else rows
    memory = weights + held * row_bytes(size.shape, element, max_new_tokens)
    if kind == "cpu":
        return Needs(kind, 0, threads, memory + _PROCESS)
    return Needs(kind, choice.tensor_parallel, 1, memory)


def find_places(nodes: Sequence[Mapping[str, Any]], needs: Needs) -> list[Place]:
    """Room for workers on the nodes that are alive, one on each before a second on any.

    Args:
        nodes: as `ray.nodes()` lists them.
        needs: what each worker takes.
    """
    places = []
    for node in nodes:
        if not node["Alive"]:
            continue
        resources = node["Resources"]
        processors = int(resources.get("CPU", 0))
        threads = min(needs.threads, processors)
        fit = processors // threads if threads else 0
        if needs.device == "cpu":
            fit = min(fit, int(resources.get("memory", 0)) // needs.memory)
        else:
            fit = min(fit, int(resources.get("GPU", 0)) // needs.devices)
        places += [
            Place(node["NodeID"], node["NodeManagerAddress"], number, threads) for number in range(fit)
        ]
    return sorted(places, key=lambda place: place.number)


def describe_nodes(nodes: Sequence[Mapping[str, Any]]) -> str:
    """What the nodes that are alive have, in words."""
    described = []
    for node in nodes:
        if node["Alive"]:
            resources = node["Resources"]
            described.append(
                f"{node['NodeManagerAddress']}: {resources.get('CPU', 0):g} CPU, {resources.get('GPU', 0):g} GPU, "
                f"{resources.get('memory', 0) / 2**30:.1f} GiB"
            )
    return "; ".join(described) or "none is alive"
