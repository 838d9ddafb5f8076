"""A Ray cluster of several nodes on this machine: what its workers make, and what happens when a node dies."""

import logging
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from steergauge.directions.random import random_unit_vectors
from steergauge.errors import InstrumentError, SteergaugeError
from steergauge.models.loading import Model
from steergauge.prompts import study_evaluation_set
from steergauge.steering.checks import check_instrument
from steergauge.steering.engine import Decoding, Generation, Request
from steergauge.steering.engines import EngineChoice, EngineName
from steergauge.steering.ray_cluster import ENVIRONMENT, RayCluster
from steergauge.steering.ray_engine import RayEngine
from steergauge.steering.ray_places import Needs, Place
from steergauge.steering.ray_pool import Pool
from steergauge.steering.ray_worker import Load, Row
from steergauge.steering.steering import Steering, ablation, unsteered
from steergauge.steering.torch_engine import TorchEngine
from steergauge.store import Store
from steergauge.studies.gauge import gauge
from steergauge.studies.run import Runner, Silent
from steergauge.studies.settings import GaugeSettings

TORCH = EngineChoice(EngineName.TORCH, "asked for")
PROMPTS = [prompt.text for prompt in study_evaluation_set().prompts]
ROWS, TOKENS = 10, 60
STORE_OF_OBJECTS = 80 << 20


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster of a head that runs no worker, and two nodes with a CPU each."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.setenv("RAY_worker_niceness", "0")  # others may be busy here
        ray = pytest.importorskip("ray")
        from ray.cluster_utils import Cluster

        common: dict[str, Any] = {"object_store_memory": STORE_OF_OBJECTS, "num_gpus": 0}
        head = common | {"num_cpus": 0, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(2):
                cluster.add_node(**common, num_cpus=1, memory=1 << 30)
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def cluster(nodes: Any) -> Iterator[RayCluster]:
    with RayCluster(nodes.address) as joined:
        yield joined


@pytest.fixture(scope="module")
def model(tiny_model: Callable[[str], Model]) -> Model:
    return tiny_model("llama")


def requests(model: Model) -> list[Request]:
    """Every prompt unsteered, under two doses, and with a component taken away."""
    blocks, width = len(model.blocks), model.blocks.width
    unit = random_unit_vectors((width,), 3)
    onward = np.arange(blocks) >= 1
    steerings = [
        unsteered(blocks, width),
        *(Steering(unit, np.where(onward, dose, 0.0), 1) for dose in (2.0, 8.0)),
        ablation(unit, blocks),
    ]
    return [Request(prompt, one, Decoding(TOKENS)) for one in steerings for prompt in PROMPTS]


def run(
    model: Model, engine: Any, store: Path, progress: Silent | None = None
) -> tuple[dict[str, Generation], int]:
    """What a runner makes, by address, and how many rows the store then has."""
    with Store(store) as opened:
        made = Runner(model, engine, opened, ROWS, progress or Silent()).run("a stage", requests(model))
        return {one.key: one.generation for one in made}, len(opened.to_pandas())


@pytest.fixture(scope="module")
def here(model: Model, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Generation]:
    """What the torch engine makes in this process."""
    made, _ = run(model, TorchEngine(model, ROWS, TOKENS), tmp_path_factory.mktemp("here") / "store.db")
    assert len({one.text for one in made.values()}) > len(PROMPTS)  # the steerings differ
    return made


def test_an_address_where_nobody_listens_is_told_at_once() -> None:
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"  # bound, and not listened at
        with pytest.raises(SteergaugeError, match=f"nobody answers at {address}"):
            RayCluster(address)


def test_workers_make_the_torch_engines_generations_under_its_addresses(
    model: Model, cluster: RayCluster, here: dict[str, Generation], tmp_path: Path
) -> None:
    engine = cluster.engine(TORCH, model, ROWS, TOKENS)
    assert run(model, engine, tmp_path / "store.db") == (here, len(here))


def test_the_instrument_is_checked_on_a_worker(model: Model, cluster: RayCluster) -> None:
    engine, reference = cluster.engine(TORCH, model, ROWS, TOKENS), TorchEngine(model)
    largest = requests(model)[2 * len(PROMPTS)].steering
    assert check_instrument(model, engine, PROMPTS[0], largest) == check_instrument(
        model, reference, PROMPTS[0], largest
    )


def test_what_an_engine_refuses_on_a_worker_comes_back_as_itself(model: Model, cluster: RayCluster) -> None:
    endless = Steering(requests(model)[40].steering.vector, np.full(len(model.blocks), 3e38), 0)
    asked = [Request(PROMPTS[0], endless, Decoding(2))]
    with pytest.raises(InstrumentError) as there:
        list(cluster.engine(TORCH, model, ROWS, TOKENS).generate(asked))
    with pytest.raises(InstrumentError) as expected:
        list(TorchEngine(model).generate(asked))
    assert (type(there.value), str(there.value)) == (InstrumentError, str(expected.value))


def test_a_model_that_no_node_has_room_for_is_an_error_that_says_what_it_takes(cluster: RayCluster) -> None:
    import ray

    load = Load("large", "float32", "", "", "cpu", TORCH, 1, 1, 0, {})
    with pytest.raises(
        SteergaugeError, match=r"no node .* room for large .* 2048.0 GiB .* 1 CPU, 0 GPU, 1.0"
    ):
        Pool(ray, load, Needs("cpu", 0, 1, 2 << 40))


def test_a_process_joins_one_cluster(cluster: RayCluster) -> None:
    with pytest.raises(SteergaugeError, match=f"has joined the Ray cluster at {cluster.address} already"):
        RayCluster("local")


class KillsANode(Silent):
    """Kills a node that is at work, when the first row of a run is told."""

    def __init__(self, nodes: Any, engine: RayEngine) -> None:
        self.nodes, self.engine, self.rows = nodes, engine, 0

    def advance(self, rows_done: int, tokens: int) -> None:
        if rows_done and not self.rows:
            at_work = {member.place.node for member in self.engine._pool._busy}
            doomed = next(node for node in self.nodes.list_all_nodes() if node.node_id in at_work)
            self.nodes.remove_node(doomed, allow_graceful=False)
        self.rows += rows_done


def test_when_a_node_dies_its_rows_are_made_elsewhere_and_none_is_lost_or_doubled(  # noqa: PLR0917 - fixtures
    model: Model,
    cluster: RayCluster,
    nodes: Any,
    here: dict[str, Generation],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = cluster.engine(TORCH, model, ROWS, TOKENS)
    progress = KillsANode(nodes, engine)
    with caplog.at_level(logging.WARNING, logger="steergauge"):
        assert run(model, engine, tmp_path / "store.db", progress) == (here, len(here))
    assert progress.rows == len(here)
    assert f"died; its {ROWS} rows are given again" in caplog.text


def test_a_gauge_on_the_node_that_is_left_finds_what_one_without_ray_finds(
    model: Model, cluster: RayCluster, tmp_path: Path
) -> None:
    settings = GaugeSettings(
        evaluation_set=study_evaluation_set().model_copy(
            update={"prompts": study_evaluation_set().prompts[:8]}
        ),
        depths=(0.5,),
        doses=(2.0, 8.0),
        wave_rows=ROWS,
        max_new_tokens=TOKENS,
    )
    there = gauge(model, settings, store=tmp_path / "there.db", ray=cluster)
    same = gauge(model, settings, store=tmp_path / "here.db")
    assert there.model_copy(update={"provenance": same.provenance}) == same
    assert same.provenance.engine == there.provenance.engine
    assert "workers started" in there.provenance.hardware["ray"]


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SteergaugeError, match=r"pip install 'steergauge\[ray\]'"):
        RayCluster("auto")


@pytest.mark.parametrize("address", ["ray://head:10001", "head", ""])
def test_another_kind_of_address_is_refused(address: str) -> None:
    with pytest.raises(SteergaugeError, match="auto, local or HOST:PORT"):
        RayCluster(address)


class Dying:
    """A pool of one worker that dies of the waves with a deadly prompt, and the Ray that it is on."""

    room, identity = 1, ("torch", "1")

    def __init__(self, deadly: str, times: int) -> None:
        from ray import exceptions

        self.deadly, self.times, self.exceptions = deadly, times, exceptions
        self.generate = self  # of the actor: `actor.generate.remote`
        self.actor, self.place = self, Place("node", "10.0.0.1", 0, 1)

    def remote(self, rows: Sequence[Row], *_: Steering) -> Iterator[tuple[int, Generation]]:
        for index, row in enumerate(rows):
            if row.prompt == self.deadly and self.times:
                self.times -= 1
                raise self.exceptions.WorkerCrashedError
            yield index, Generation(row.prompt[::-1], (index,), "stop")

    def get(self, value: Any) -> Any:
        return value

    def put(self, value: Any) -> Any:
        return value

    def want(self, workers: int) -> None:
        assert workers

    def take(self) -> Any:
        return self

    def give_back(self, member: Any) -> None:
        assert member is self

    dismiss = give_back

    def wait(self, awaited: Any) -> list[Any]:
        return list(awaited)[:1]


@pytest.mark.parametrize("times", [1, 2])
def test_a_wave_whose_worker_dies_is_made_anew_and_each_row_is_told_once(times: int) -> None:
    pytest.importorskip("ray")
    dying, told = Dying("c", times), list[str]()
    asked = [Request(prompt, unsteered(4, 32), Decoding(5)) for prompt in ("ab", "c", "de")]
    made = RayEngine(dying, cast("Pool", dying), 2).generate_waves(
        [asked[:2], asked[2:]], lambda generation: told.append(generation.text)
    )
    assert {number: [one.text for one in wave] for number, wave in made} == {0: ["ba", "c"], 1: ["ed"]}
    assert sorted(told) == ["ba", "c", "ed"]


def test_a_wave_that_ends_every_worker_is_an_error_that_names_it() -> None:
    pytest.importorskip("ray")
    dying = Dying("c", 9)
    asked = [Request(prompt, unsteered(4, 32), Decoding(5)) for prompt in ("ab", "c")]
    with pytest.raises(SteergaugeError, match=r"wave of 2 rows that begins with 'ab' has ended its worker 3"):
        list(RayEngine(dying, cast("Pool", dying), 2).generate(asked))
    assert dying.times == 6
