"""Waves: what is made, what is kept, and what a run that continues makes."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from steergauge.models.loading import Model
from steergauge.steering.engine import Decoding, Generation, Request, Told
from steergauge.steering.steering import Steering
from steergauge.store import Store
from steergauge.studies.run import Runner, Silent


class FakeEngine:
    """Says each prompt backwards, in reverse order, and fails at the batch it is told to."""

    name, version, wave_rows = "fake", "1", 4

    def __init__(self, fails_at: int | None = None) -> None:
        self.batches: list[list[str]] = []
        self.fails_at = fails_at

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Generation]]:
        if requests:
            self.batches.append([request.prompt for request in requests])
        for index in reversed(range(len(requests))):
            if len(self.batches) - 1 == self.fails_at and index == 0:
                raise KeyboardInterrupt
            yield index, Generation(requests[index].prompt[::-1], (index, 7), "stop")


class AtOnce(FakeEngine):
    """Takes all waves before it makes any, and makes the last first."""

    def generate_waves(
        self, waves: Iterable[Sequence[Request]], told: Told
    ) -> Iterator[tuple[int, list[Generation]]]:
        for number, requests in reversed(list(enumerate(waves))):
            made = dict(self.generate(requests))
            for generation in made.values():
                told(generation)
            yield number, [made[index] for index in range(len(requests))]


class Counting(Silent):
    def __init__(self) -> None:
        self.stages: list[tuple[str, int]] = []
        self.rows = self.tokens = 0

    def begin(self, stage: str, rows: int) -> None:
        self.stages.append((stage, rows))

    def advance(self, rows_done: int, tokens: int) -> None:
        self.rows += rows_done
        self.tokens += tokens


def request(prompt: str) -> Request:
    return Request(prompt, Steering(np.full(4, 0.5, dtype=np.float32), np.ones(3), 0), Decoding(5))


PROMPTS = [f"prompt {number}" for number in range(10)]
REQUESTS = [request(prompt) for prompt in PROMPTS]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "steergauge.db") as opened:
        yield opened


def runner(
    model: Model, store: Store, engine: FakeEngine, rows: int = 4, progress: Silent | None = None
) -> Runner:
    return Runner(model, engine, store, rows, progress or Silent())


def test_results_are_in_the_order_of_the_requests(phantom_model: Model, store: Store) -> None:
    engine = FakeEngine()
    made = runner(phantom_model, store, engine).run("a stage", REQUESTS)
    assert [one.generation.text for one in made] == [prompt[::-1] for prompt in PROMPTS]
    assert engine.batches == [PROMPTS[:4], PROMPTS[4:8], PROMPTS[8:]]


def test_waves_that_run_at_once_are_those_that_run_one_by_one(phantom_model: Model, store: Store) -> None:
    engine, progress = AtOnce(), Counting()
    made = runner(phantom_model, store, engine, progress=progress).run("a stage", [*REQUESTS, *REQUESTS])
    assert [one.generation.text for one in made] == 2 * [prompt[::-1] for prompt in PROMPTS]
    assert engine.batches == [PROMPTS[8:], PROMPTS[4:8], PROMPTS[:4]]  # the second ten are asked for once
    assert progress.rows == 2 * len(REQUESTS)


def test_of_waves_that_run_at_once_those_are_kept_that_are_whole(phantom_model: Model, store: Store) -> None:
    with pytest.raises(KeyboardInterrupt):
        runner(phantom_model, store, AtOnce(fails_at=1)).run("a stage", REQUESTS)
    assert sorted(store.to_pandas()["prompt"]) == PROMPTS[8:]


def test_what_is_in_the_store_is_not_made_again(phantom_model: Model, store: Store) -> None:
    first = runner(phantom_model, store, FakeEngine())
    made = first.run("a stage", REQUESTS)
    engine = FakeEngine()
    second = runner(phantom_model, store, engine)
    assert second.run("a stage", REQUESTS) == made
    assert (engine.batches, first.made_now, second.made_now) == ([], 10, 0)


def test_each_wave_is_kept_when_it_is_done_and_one_that_is_cut_off_not_at_all(
    phantom_model: Model, store: Store
) -> None:
    with pytest.raises(KeyboardInterrupt):
        runner(phantom_model, store, FakeEngine(fails_at=1)).run("a stage", REQUESTS)
    assert sorted(store.to_pandas()["prompt"]) == PROMPTS[:4]


def test_a_run_that_continues_makes_the_batches_of_one_that_was_not_interrupted(
    phantom_model: Model, store: Store
) -> None:
    with pytest.raises(KeyboardInterrupt):
        runner(phantom_model, store, FakeEngine(fails_at=1)).run("a stage", REQUESTS)
    engine = FakeEngine()
    continuing = runner(phantom_model, store, engine)
    continuing.run("a stage", REQUESTS)
    assert engine.batches == [PROMPTS[4:8], PROMPTS[8:]]
    assert continuing.made_now == 6


def test_waves_are_cut_from_all_requests_whatever_the_store_holds(phantom_model: Model, store: Store) -> None:
    runner(phantom_model, store, FakeEngine()).run("other study", [REQUESTS[1], REQUESTS[6]])
    engine = FakeEngine()
    runner(phantom_model, store, engine).run("a stage", REQUESTS)
    assert engine.batches == [
        [PROMPTS[0], PROMPTS[2], PROMPTS[3]],
        [PROMPTS[4], PROMPTS[5], PROMPTS[7]],
        PROMPTS[8:],
    ]


def test_a_request_that_stands_twice_in_a_wave_is_made_once(phantom_model: Model, store: Store) -> None:
    engine = FakeEngine()
    made = runner(phantom_model, store, engine).run("a stage", [request("ab"), request("c"), request("ab")])
    assert engine.batches == [["ab", "c"]]
    assert [one.generation.text for one in made] == ["ba", "c", "ba"]


def test_progress_is_told_of_every_row_and_of_the_tokens_made_now(phantom_model: Model, store: Store) -> None:
    runner(phantom_model, store, FakeEngine()).run("before", REQUESTS[:3])
    progress = Counting()
    runner(phantom_model, store, FakeEngine(), progress=progress).run("a stage", REQUESTS)
    assert progress.stages == [("a stage", 10)]
    assert (progress.rows, progress.tokens) == (10, 2 * 7)


def test_no_requests_are_no_work(phantom_model: Model, store: Store) -> None:
    assert runner(phantom_model, store, FakeEngine()).run("a stage", []) == []
