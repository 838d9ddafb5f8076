"""The ways to run a sweep, in the table's order."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from benchmarks.sweep.grid import Grid, Row

Run: TypeAlias = Callable[[Sequence[Row], int], list[list[int]]]
"""Makes so many new tokens of each row, and returns them; of products alone there are none."""
Start: TypeAlias = Callable[[str, str, Grid], Run]
"""Takes a model's name, its precision and the grid, and gets ready."""


class Size(StrEnum):
    """How many rows a way takes a turn: a few of one condition, up to all of one, or those of several."""

    FEW = "few"
    CONDITION = "condition"
    GRID = "grid"


class Way(NamedTuple):
    """A way to run the sweep.

    Attributes:
        name: in the table.
        what: it does, in words.
        start: `module:function`, a `Start`.
        package: what it needs beside steergauge.
        process: ways of one name and precision share a process, and so a loaded model.
        size: its rows a turn.
        steers: whether its outputs are the steered ones.
    """

    name: str
    what: str
    start: str
    package: str
    process: str
    size: Size
    steers: bool = True


STUDY = "the study's"
TORCH = "steergauge torch"
VLLM = "steergauge vllm"
PRODUCTS = "matrix products"

WAYS = (
    Way(STUDY, "`generate`, hooks, one prompt at a time, one condition after another",
        "by_hand:start_one_by_one", "transformers", "transformers", Size.FEW),
    Way("transformers", "`generate`, hooks, all prompts of a condition in a batch",
        "by_hand:start_batched", "transformers", "transformers", Size.CONDITION),
    Way("nnsight", "the same through nnsight's `generate`",
        "with_nnsight:start", "nnsight", "transformers", Size.CONDITION),
    Way("steering-vectors", "the same with `SteeringVector.apply`",
        "with_steering_vectors:start", "steering_vectors", "transformers", Size.CONDITION),
    Way(TORCH, "the torch engine, rows of all conditions in a batch",
        "engines:start_torch", "transformers", "transformers", Size.GRID),
    Way(VLLM, "the vllm engine, rows of all conditions in a batch",
        "engines:start_vllm", "vllm", "vllm", Size.GRID),
    Way("torch unsteered", "the torch engine without hooks",
        "engines:start_torch_unsteered", "transformers", "transformers", Size.GRID, steers=False),
    Way("vllm unsteered", "vLLM itself",
        "plain_vllm:start", "vllm", "vllm unsteered", Size.GRID, steers=False),
    Way(PRODUCTS, "every linear layer's product and the vocabulary's, nothing else",
        "products:start", "transformers", "transformers", Size.GRID, steers=False),
)  # fmt: skip

RAY = {
    workers: Way(
        f"torch on Ray, {workers}",
        "workers of one thread",
        f"on_ray:start_{workers}",
        "ray",
        "ray",
        Size.GRID,
    )
    for workers in (1, 2, 4)
}
"""By workers; for the curves alone."""

UNSTEERED = {TORCH: "torch unsteered", VLLM: "vllm unsteered"}
"""What an engine is without steering."""


def find_way(name: str) -> Way:
    """The way of that name."""
    return next(way for way in (*WAYS, *RAY.values()) if way.name == name)
