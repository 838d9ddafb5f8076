"""Where workers have room."""

import dataclasses
from typing import Any

import pytest

from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.models.size import measure_size
from steergauge.steering.engines import EngineChoice, EngineName
from steergauge.steering.ray_places import Needs, find_places, needs_of

GIB = 2**30


def node(name: str, *, alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"NodeID": name, "NodeManagerAddress": f"at {name}", "Alive": alive, "Resources": resources}


def places(needs: Needs, *nodes: dict[str, Any]) -> list[tuple[str, int, int]]:
    return [(place.node, place.number, place.threads) for place in find_places(nodes, needs)]


def test_a_node_takes_as_many_workers_as_its_processors_and_memory_hold() -> None:
    needs = Needs("cpu", 0, 4, 10 * GIB)
    assert places(needs, node("a", CPU=16, memory=25 * GIB), node("b", CPU=4, memory=100 * GIB)) == [
        ("a", 0, 4),
        ("b", 0, 4),
        ("a", 1, 4),
    ]
    assert places(needs, node("small", CPU=16, memory=9 * GIB)) == []


def test_a_node_of_fewer_processors_than_threads_takes_one_worker_with_all_of_them() -> None:
    assert places(Needs("cpu", 0, 8, GIB), node("a", CPU=2, memory=GIB)) == [("a", 0, 2)]


def test_gpus_are_given_one_by_one_or_in_groups() -> None:
    nodes = node("a", CPU=32, GPU=8), node("b", CPU=32, GPU=1), node("c", CPU=32)
    assert len(places(Needs("cuda", 1, 1, GIB), *nodes)) == 9
    assert [place[0] for place in places(Needs("cuda", 4, 1, GIB), *nodes)] == ["a", "a"]


def test_a_node_that_is_dead_or_gives_no_processor_takes_none() -> None:
    assert (
        places(Needs("cpu", 0, 1, 1), node("a", alive=False, CPU=4, memory=GIB), node("b", memory=GIB)) == []
    )


def test_a_worker_takes_the_weights_the_rows_and_for_vllm_the_weights_of_both(phantom_model: Model) -> None:
    def memory(engine: EngineName, rows: int) -> int:
        return needs_of(phantom_model, EngineChoice(engine, ""), rows, 100, threads=1).memory

    weights = 4 * measure_size(phantom_model.checkpoint.folder).parameters
    torch = memory(EngineName.TORCH, 1)
    assert memory(EngineName.VLLM, 1) - torch == weights
    assert memory(EngineName.TORCH, 9) - torch == 8 * (memory(EngineName.TORCH, 2) - torch)
    assert torch > weights


def test_a_worker_takes_as_many_gpus_as_a_matrix_is_split_over_and_is_not_split_over_cpus(
    phantom_model: Model,
) -> None:
    choice = EngineChoice(EngineName.VLLM, "", 2)
    on_cuda = dataclasses.replace(phantom_model, device="cuda")
    assert needs_of(on_cuda, choice, 1, 1, threads=1).devices == 2
    with pytest.raises(SteergaugeError, match="--tensor-parallel on a Ray cluster is for GPUs"):
        needs_of(phantom_model, choice, 1, 1, threads=1)
