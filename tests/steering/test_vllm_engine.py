"""vLLM itself against the torch engine, in float32, on tiny models: skipped where vLLM is not installed."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from steered import run, with_frequent_stops
from steergauge.directions.random import random_unit_vector
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model, load_model
from steergauge.models.phantom import Phantom
from steergauge.prompts import study_evaluation_set
from steergauge.steering.checks import check_instrument
from steergauge.steering.engine import Decoding, Generation, Request, StopRule
from steergauge.steering.engines import EngineChoice, EngineName
from steergauge.steering.head_steering import HeadSteering
from steergauge.steering.operation import Operation
from steergauge.steering.positions import Positions
from steergauge.steering.ray_cluster import RayCluster
from steergauge.steering.steering import Steering, unsteered
from steergauge.steering.vllm_engine import VllmEngine
from steergauge.studies.gauge import gauge
from steergauge.studies.settings import gauge_settings

pytest.importorskip("vllm", reason="vLLM is not installed (docs/engines.md says how)")

EVALUATION = [prompt.text for prompt in study_evaluation_set().prompts]
WIDTH = 128  # heads of 32: vLLM has no narrower ones on a CPU
# Layers that return (hidden, residual), and one tensor.
FAMILIES = ("qwen2", "llama", "qwen3", "gpt2")
NOT_VLLMS = "gpt-neox"  # which it would run through transformers


@pytest.fixture(scope="module")
def models(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    def folder(family: str) -> Path:
        made = tmp_path_factory.mktemp(family)
        tiny.save(family, made, phantom.folder)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "WIDTH", WIDTH)
        return {
            family: load_model(str(folder(family)), precision="float32", device="cpu")
            for family in (*FAMILIES, NOT_VLLMS)
        }


@pytest.fixture(scope="module")
def engine(models: dict[str, Model]) -> Iterator[VllmEngine]:
    started = VllmEngine(models["qwen2"])
    yield started
    started.close()


def steering(  # noqa: PLR0917
    operation: Operation, positions: Positions, first: int, amount: float, seed: int, last: int | None = None
) -> Steering:
    coefficients = np.zeros(tiny.BLOCKS)
    if operation is not Operation.ABLATE:
        coefficients[first : None if last is None else last + 1] = amount
    return Steering(random_unit_vector(WIDTH, seed), coefficients, first, operation, last, positions)


def mixed(tokens: int = 14) -> list[Request]:
    """Every operation at every positions, from every block, between unsteered rows, of several lengths."""
    kinds = [(operation, positions) for operation in Operation for positions in Positions]
    steerings = [unsteered(tiny.BLOCKS, WIDTH)]
    for seed, (operation, positions) in enumerate(kinds):
        first = seed % tiny.BLOCKS
        last = first if seed % 3 == 0 else None
        steerings.append(steering(operation, positions, first, 3.0 * (1 + seed % 3), seed, last))
    return [
        Request(
            EVALUATION[row % len(EVALUATION)], steerings[row % len(steerings)], Decoding(tokens - row % 3)
        )
        for row in range(2 * len(steerings))
    ]


def generations(engine: VllmEngine, requests: list[Request]) -> list[Generation]:
    made = list(engine.generate(requests))
    assert sorted(row for row, _ in made) == list(range(len(requests)))  # each once
    return [generation for _, generation in sorted(made, key=lambda one: one[0])]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mixed_batch_is_the_torch_engines_token_for_token(family: str, models: dict[str, Model]) -> None:
    requests = mixed()
    model = with_frequent_stops(models[family], requests)
    expected = run(model, requests)
    engine = VllmEngine(model)
    try:
        assert generations(engine, requests) == expected
    finally:
        engine.close()
    assert {made.finish for made in expected} == {"stop", "length"}
    control = run(
        model,
        [Request(one.prompt, unsteered(tiny.BLOCKS, WIDTH), one.decoding) for one in requests],
    )
    assert sum(one != other for one, other in zip(expected, control, strict=True)) > len(requests) / 3


@pytest.mark.parametrize(
    "options",
    [
        {"max_num_batched_tokens": 16, "max_num_seqs": 4},
        {"block_size": 32, "num_gpu_blocks_override": 8},
    ],
    ids=["prefill in chunks", "rows preempted"],
)
def test_scheduling_changes_no_text(
    options: dict[str, Any], models: dict[str, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    from vllm.v1.core.sched.scheduler import Scheduler

    preempt, preempted = Scheduler._preempt_request, []

    def counted(self: Scheduler, request: Any, *more: Any, **named: Any) -> None:
        preempted.append(request.request_id)
        preempt(self, request, *more, **named)

    monkeypatch.setattr(Scheduler, "_preempt_request", counted)
    requests = mixed(40)[:20]
    engine = VllmEngine(models["qwen2"], options=options)
    try:
        assert generations(engine, requests) == run(models["qwen2"], requests)
    finally:
        engine.close()
    assert bool(preempted) is ("num_gpu_blocks_override" in options)


def test_a_matrix_split_over_two_ranks_gives_the_same_text(models: dict[str, Model]) -> None:
    requests = mixed()
    engine = VllmEngine(models["qwen2"], options={"tensor_parallel_size": 2})
    try:
        assert generations(engine, requests) == run(models["qwen2"], requests)
        assert engine.version.endswith(
            ", split over 2)"
        )  # in float32 alone are the texts sure to be the same
    finally:
        engine.close()


def test_on_a_ray_cluster_it_gives_the_same_text(models: dict[str, Model]) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    requests = mixed()
    waves = [requests[first : first + 10] for first in range(0, len(requests), 10)]
    with RayCluster("local") as cluster:
        engine = cluster.engine(EngineChoice(EngineName.VLLM, ""), models["qwen2"], 10, 14)
        made = dict(engine.generate_waves(waves, lambda _: None))
    assert [one for number in range(len(waves)) for one in made[number]] == run(models["qwen2"], requests)
    assert engine.name == "vllm"


def test_a_request_whose_rule_holds_ends_where_the_torch_engine_ends_it(
    models: dict[str, Model], engine: VllmEngine
) -> None:
    asked = list[tuple[int, int]]()
    at_8 = StopRule("at 8", lambda tokens, left: len(tokens) >= 7)

    def goes_on(tokens: Sequence[int], left: int) -> bool:
        asked.append((len(tokens), left))
        return False

    never = StopRule("never", goes_on)
    requests = [
        Request(one.prompt, one.steering, Decoding(13, stop=[None, at_8, never][row % 3]))
        for row, one in enumerate(mixed())
    ]
    made = generations(engine, requests)
    assert set(asked) == {(4, 9), (8, 5), (12, 1)}
    assert made == run(models["qwen2"], requests)
    assert {one.finish for one in made} >= {"length", "decided"}
    for row, one in enumerate(made):
        if one.finish != "stop":
            assert (one.finish, len(one.tokens)) == (("decided", 8) if row % 3 == 1 else ("length", 13))


def test_each_wave_has_its_own_steerings(engine: VllmEngine) -> None:
    waves = [
        [
            Request(EVALUATION[0], steering(Operation.ADD, Positions.ALL, 1, 5.0, seed), Decoding(8))
            for seed in seeds
        ]
        for seeds in ((1, 2), (3,), (4, 5, 6))
    ]
    made = [generations(engine, wave) for wave in waves]
    assert made == [run(engine.model, wave) for wave in waves]
    assert len({one.tokens for wave in made for one in wave}) > 3


def test_a_wave_that_is_left_leaves_nothing_behind(engine: VllmEngine) -> None:
    requests = mixed(8)
    begun = engine.generate(requests)
    next(begun)
    del begun
    assert generations(engine, requests) == run(engine.model, requests)


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("positions", Positions)
def test_the_instruments_checks_read_vllm(
    operation: Operation, positions: Positions, engine: VllmEngine
) -> None:
    one = steering(operation, positions, 2, 4.0, 1)
    outcomes = check_instrument(engine.model, engine, EVALUATION[0], one)
    assert len(outcomes) == 3


@pytest.mark.parametrize(
    ("options", "named"),
    [({"enforce_eager": False}, "compiled code"), ({"enable_prefix_caching": True}, "the prefix cache")],
)
def test_what_steering_does_not_go_with_is_refused(
    options: dict[str, Any], named: str, models: dict[str, Model]
) -> None:
    with pytest.raises(SteergaugeError, match=named):
        VllmEngine(models["llama"], options=options)


def test_heads_are_refused(engine: VllmEngine) -> None:
    heads = HeadSteering(np.ones((tiny.BLOCKS, tiny.HEADS, WIDTH // tiny.HEADS), dtype=np.float32))
    with pytest.raises(SteergaugeError, match="single attention heads"):
        list(engine.generate([Request(EVALUATION[0], heads, Decoding(2))]))


def test_a_family_that_vllm_has_not_is_refused_and_torch_goes_on(models: dict[str, Model]) -> None:
    requests = mixed()[:6]
    before = run(models[NOT_VLLMS], requests)
    with pytest.raises(SteergaugeError, match="no implementation of GPTNeoXForCausalLM"):
        VllmEngine(models[NOT_VLLMS])
    assert run(models[NOT_VLLMS], requests) == before


def test_a_request_without_room_is_told_before_it_runs(engine: VllmEngine) -> None:
    request = Request(EVALUATION[0], unsteered(tiny.BLOCKS, WIDTH), Decoding(600))
    with pytest.raises(SteergaugeError, match=r"more than the \d+ that vLLM has room for: 'Write"):
        list(engine.generate([request]))


def test_a_gauge_finds_the_same_on_both_engines(models: dict[str, Model], tmp_path: Path) -> None:
    settings = gauge_settings(depths=(0.5,), doses=(1, 4), max_new_tokens=8)
    found = {
        name: gauge(models["llama"], settings, store=tmp_path / f"{name}.db", engine=name)
        for name in ("torch", "vllm")
    }
    texts = {name: [one.text for one in result.generations] for name, result in found.items()}
    assert texts["vllm"] == texts["torch"]
    assert found["vllm"].provenance.engine.startswith("vllm 1 (vllm ")
    assert found["vllm"].conditions == found["torch"].conditions
