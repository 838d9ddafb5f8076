"""The measuring stick's pieces on a tiny model: every way makes the same tokens; no time is asserted."""

import json
import sys
from collections import deque
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))  # the benchmarks are no part of the package

from benchmarks.sweep import __main__ as command  # noqa: E402
from benchmarks.sweep import curves  # noqa: E402
from benchmarks.sweep.figure import draw  # noqa: E402
from benchmarks.sweep.grid import Grid, Row, load_grid, plan  # noqa: E402
from benchmarks.sweep.processes import TurnError  # noqa: E402
from benchmarks.sweep.rounds import Entry, Measured, Shape, Turn, measure  # noqa: E402
from benchmarks.sweep.searching import Searched, write_searches  # noqa: E402
from benchmarks.sweep.summary import Share, Spread, summarize  # noqa: E402
from benchmarks.sweep.table import as_json, write_table  # noqa: E402
from benchmarks.sweep.ways import PRODUCTS, RAY, STUDY, TORCH, WAYS, find_way  # noqa: E402
from benchmarks.sweep.worker import start  # noqa: E402

import tiny  # noqa: E402
from steered import uncached  # noqa: E402
from steergauge.models.phantom import Phantom  # noqa: E402
from steergauge.steering.engine import Decoding, Request  # noqa: E402
from steergauge.steering.steering import Steering  # noqa: E402

TOKENS = 6


@pytest.fixture(scope="module")
def folder(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("benched")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "WIDTH", 128)  # heads of 32: vLLM has no narrower ones on a CPU
        tiny.save("qwen2", made, phantom.folder)
    return made


@pytest.fixture(scope="module")
def grid(folder: Path) -> Grid:
    return plan(str(folder))


@pytest.fixture(scope="module")
def rows(grid: Grid) -> list[Row]:
    """Two conditions, the weakest and the strongest, of prompts of several lengths."""
    return [Row(condition, prompt) for condition in (0, len(grid.doses) - 1) for prompt in (0, 7, 19)]


@pytest.fixture(scope="module")
def expected(folder: Path, grid: Grid, rows: list[Row]) -> list[list[int]]:
    """Steering by its definition, without a cache, on what transformers alone loads."""
    model = tiny.plain(folder)
    made = []
    for row in rows:
        coefficients = torch.zeros(grid.blocks).numpy()
        coefficients[grid.first_blocks[row.condition] :] = grid.doses[row.condition]
        steering = Steering(grid.vector(row.condition), coefficients, grid.first_blocks[row.condition])
        request = Request(grid.prompts[row.prompt], steering, Decoding(TOKENS))
        ids = torch.tensor([grid.token_ids[row.prompt]])
        made.append(uncached(model, tiny.layers(model, "qwen2"), ids, request, stops=()))
    return made


@pytest.mark.parametrize("way", [*(way for way in WAYS if way.steers), RAY[1]], ids=lambda way: way.name)
def test_every_way_makes_the_tokens_that_the_definition_makes(
    way: Any, folder: Path, grid: Grid, rows: list[Row], expected: list[list[int]]
) -> None:
    if find_spec(way.package) is None:
        pytest.skip(f"{way.package} is not installed")
    run = start(way.name)(str(folder), "float32", grid)
    try:
        assert run(rows, TOKENS) == expected
    finally:
        if way in RAY.values():
            import ray

            ray.shutdown()
    assert len({tuple(made) for made in expected}) > len(rows) / 2


def test_an_engine_without_hooks_says_what_the_model_says(
    folder: Path, grid: Grid, rows: list[Row], expected: list[list[int]]
) -> None:
    model: Any = tiny.plain(folder)
    made = start("torch unsteered")(str(folder), "float32", grid)(rows, TOKENS)
    for row, tokens in zip(rows, made, strict=True):
        ids = torch.tensor([grid.token_ids[row.prompt]])
        model.generation_config.eos_token_id = None
        plain = model.generate(ids, max_new_tokens=TOKENS, do_sample=False)
        assert tokens == plain[0, ids.shape[1] :].tolist()
    assert made != expected
    # The same process goes on to steer.
    assert start(TORCH)(str(folder), "float32", grid)(rows, TOKENS) == expected


def test_the_products_are_those_of_every_linear_layer(
    folder: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    multiplied: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    run = start(PRODUCTS)(str(folder), "float32", grid)
    monkeypatch.setattr(
        "benchmarks.sweep.products.linear",
        lambda states, weight: multiplied.append((tuple(states.shape), tuple(weight.shape))),
    )
    assert run([Row(0, 0)] * 5, 2) == []
    model = tiny.plain(folder)
    shapes = [
        tuple(weight.shape)
        for name, weight in model.named_parameters()
        if weight.ndim == 2 and "embed" not in name
    ]
    assert multiplied == [((5, shape[1]), shape) for shape in shapes] * 2


def test_a_grid_is_the_same_when_it_is_read_again(grid: Grid, tmp_path: Path) -> None:
    (tmp_path / "grid.json").write_text(grid.model_dump_json())
    assert load_grid(tmp_path / "grid.json") == grid


def test_rounds_together_take_every_condition_and_smaller_slices_are_parts_of_larger(grid: Grid) -> None:
    taken = [grid.slice_of(number, 2, len(grid.prompts)) for number in range(len(grid.doses) // 2)]
    everything = {Row(condition, prompt) for condition in range(len(grid.doses)) for prompt in range(30)}
    assert {row for slice_ in taken for row in slice_} == everything
    shape = Shape({"float32": 60, "bfloat16": 7}, few=2, lengths=(1, 2))
    slices = {
        (name, precision): shape.slice_for(Entry(find_way(name), precision), 3, grid)
        for name in (STUDY, "transformers", TORCH)
        for precision in shape.rows
    }
    assert [len(rows) for rows in slices.values()] == [2, 2, 30, 7, 60, 7]
    assert all(set(rows) <= set(slices[TORCH, "float32"]) for rows in slices.values())
    for (name, _), rows in slices.items():
        assert len({row.condition for row in rows}) == (2 if name == TORCH else 1)
        assert len(set(rows)) == len(rows)


class FakeProcess:
    """A worker whose ways take a known time; the study's way fails in its second round."""

    asked: ClassVar[list[tuple[str, int]]] = []

    def __init__(self, *_: object) -> None:
        self.turns = 0

    def turn(self, way: Any, rows: list[Row], _lengths: object) -> dict[str, Any]:
        self.asked.append((way.name, len(rows)))
        if self.asked.count((STUDY, 1)) == 2 and way.name == STUDY:
            raise TurnError("no memory")
        return {"seconds": {"wall": [1.0, 2.0]}, "made": [], "peak_bytes": 1, "threads": 1, "versions": {}}

    def close(self) -> None:
        pass


def test_ways_take_turns_there_and_back_until_the_time_is_over_and_a_failed_one_leaves(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = deque(range(100))
    monkeypatch.setattr("benchmarks.sweep.rounds.Process", FakeProcess)
    monkeypatch.setattr("benchmarks.sweep.rounds.time", SimpleNamespace(monotonic=clock.popleft))
    monkeypatch.setattr(FakeProcess, "asked", [])
    entries = [Entry(find_way(name), "float32") for name in (STUDY, "transformers", TORCH)]
    shape = Shape({"float32": 5}, few=1, lengths=(1, 3))
    measured = measure("any", grid, Path("any"), dict.fromkeys(entries, "python"), shape=shape, seconds=9)
    assert FakeProcess.asked[:3] == [(STUDY, 2), ("transformers", 2), (TORCH, 2)]  # to warm up
    assert FakeProcess.asked[3:] == [
        (STUDY, 1),
        ("transformers", 5),
        (TORCH, 5),
        (TORCH, 5),
        ("transformers", 5),
        (STUDY, 1),
        ("transformers", 5),
        (TORCH, 5),
    ]
    assert measured.failures == {entries[0]: "no memory"}
    assert {turn.round for turn in measured.turns if turn.entry == entries[0]} == {1}


def turns(seconds: Mapping[str, tuple[float, float]], drift: tuple[float, ...] = (1.0,)) -> list[Turn]:
    """Two rows a way in float32, which say 1, 2, 3; by round slower by a factor."""
    return [
        Turn(
            Entry(find_way(name), "float32"),
            number,
            (Row(0, 0), Row(0, 1)),
            (short * slow, long * slow),
            made,
        )
        for number, slow in enumerate(drift, start=1)
        for name, (short, long) in seconds.items()
        for made in [[[1, 2, 3], [4, 5, 6 if name == STUDY else 7]]]
    ]


def test_rates_are_those_of_prompts_and_steps_and_drift_cancels_in_ratios(grid: Grid) -> None:
    # A turn of the study's way reads prompts for 1 s and makes a step of both rows in 0.5 s.
    of_ways = {
        STUDY: (1 + 4 * 0.5, 1 + 24 * 0.5),
        TORCH: (0.1 + 4 * 0.05, 0.1 + 24 * 0.05),
        "torch unsteered": (0.1 + 4 * 0.04, 0.1 + 24 * 0.04),
        PRODUCTS: (4 * 0.02, 24 * 0.02),
    }
    found = summarize(turns(of_ways, (1.0, 3.0, 2.0)), grid, (4, 24), lambda tokens: str(tokens[0]))
    study, torch_, unsteered, products = found
    assert study.decoding == pytest.approx(Spread(2 / 1.0, 2 / 1.5, 2 / 0.5))
    assert study.sweeping == pytest.approx(Spread(200 / 102, 200 / 153, 200 / 51))
    assert study.hours == pytest.approx(grid.outputs * 102 / 2 / 3600)
    assert torch_.ratio == pytest.approx([51 / 5.1] * 3)
    assert torch_.ratio_to_reference == torch_.ratio
    assert torch_.cost == pytest.approx([1.3 / 1.06 - 1] * 3)
    assert torch_.of_products == pytest.approx([0.4] * 3)
    assert (study.of_products, study.cost, products.ratio, products.hours) == (None, None, None, None)
    assert unsteered.of_products == pytest.approx([0.5] * 3)
    assert (study.tokens, study.labels) == (Share(3, 6), Share(6, 6))
    assert torch_.tokens == unsteered.tokens == Share(6, 6)


def test_a_turn_too_short_to_tell_has_no_rate_but_its_outputs_count(grid: Grid) -> None:
    (line,) = summarize(turns({TORCH: (2.0, 2.0)}), grid, (4, 24), str)
    assert line.decoding is None
    assert line.tokens == Share(2, 2)


def test_the_table_names_what_did_not_run(grid: Grid) -> None:
    shape = Shape({"float32": 2}, 2, (4, 24))
    lines = summarize(turns({STUDY: (1.0, 3.0), TORCH: (1.0, 1.2)}), grid, (4, 24), str)
    missing = {Entry(find_way("nnsight"), "float32"): "not installed"}
    key = "vllm float32 /usr/bin/python"
    measured = Measured(turns({STUDY: (1.0, 3.0)}), {}, {key: 2**31}, {key: {"threads": 2}})
    table = write_table(lines, missing, measured, grid, shape=shape, told="somewhere")
    assert "| nnsight | float32 | not installed |" in table
    assert "Extrapolated" in table
    assert len({line.count("|") for line in table.splitlines() if line.startswith("|")}) == 1
    assert "vllm float32 2.0 GiB" in table
    told = as_json(lines, missing, measured, shape, {})
    assert json.loads(json.dumps(told))["not_measured"][0]["way"] == "nnsight"
    drawn = draw(lines, "a title")
    assert drawn.count("<rect") == 2
    assert "5.41×" in drawn  # 100 tokens in 10.6 s and in 1.96 s


def test_a_search_stands_beside_the_hours_of_the_studys_grid(grid: Grid) -> None:
    lines = summarize(turns({STUDY: (3.0, 13.0)}), grid, (4, 24), str)  # 100 tokens in 25.5 s
    found = [(Entry(find_way(TORCH), "float32"), Searched(459.0, 300, 9000, None))]
    times = f"{25.5 * grid.outputs / 459:.3g}"
    assert f"| 7.7 | 300 | 9000 | {times} | {times} | none |" in write_searches(found, lines)


def test_the_exponent_of_a_square_is_two() -> None:
    assert curves.exponent([1, 2, 4, 8], [3.0, 12.0, 48.0, 192.0]) == pytest.approx(2)


def test_a_curve_counts_what_all_batches_take_and_the_largest_peak(grid: Grid) -> None:
    class Linear:
        """A second a token, and a pass more for every batch; the memory of its rows."""

        def turn(self, _way: object, rows: list[Row], lengths: list[int]) -> dict[str, Any]:
            seconds = [len(rows) * tokens + 32.0 * (tokens == 8) for tokens in lengths]
            return {"seconds": {"wall": seconds}, "peak_bytes": len(rows)}

        def close(self) -> None:
            pass

    process: Any = Linear()
    tokens = curves.along(find_way(TORCH), curves.AXES["tokens"], process, grid)
    assert tokens == [(8 * 8 + 32, 8), (8 * 16, 8), (8 * 32, 8), (8 * 64, 8)]
    batch = curves.along(find_way(TORCH), curves.AXES["batch"], process, grid)
    assert batch == [(32 * 8 + 32 * 32 / size, size) for size in (1, 2, 4, 8, 16, 32)]


def test_curves_of_sizes_and_workers_go_through_a_process_each(
    folder: Path, grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    class Counting(FakeProcess):
        """A second for the first process that is made, two for the second, and so on."""

        def __init__(self, _python: str, name: str, *_: object) -> None:
            self.name = name

        def turn(self, way: Any, rows: list[Row], lengths: object) -> dict[str, Any]:
            asked.append((way.name, self.name))
            seconds = [float(1 + len(set(asked)))]
            return {**super().turn(way, rows, lengths), "seconds": {"wall": seconds}}

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(curves, "Process", Counting)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    (tmp_path / "small.json").write_text(grid.model_dump_json())
    (tmp_path / "large.json").write_text(
        grid.model_copy(update={"parameters": 4 * grid.parameters}).model_dump_json()
    )
    models = [("small", tmp_path / "small.json"), ("large", tmp_path / "large.json")]
    installed = {way.name: "python" for way in (find_way(TORCH), *RAY.values())}
    table = curves.run(models, installed, tmp_path).splitlines()
    assert f"| parameters | {grid.parameters:,d}; {4 * grid.parameters:,d} | 2.00; 3.00 |" in table[-2]
    assert "| torch on Ray | workers | 1; 2 | 4.00; 5.00 | 0.32 |  |" in table[-1]
    assert (TORCH, "large") in asked
    assert (RAY[4].name, "small") not in asked  # four workers on two processors


def test_the_command_writes_table_figure_and_numbers(
    folder: Path,
    grid: Grid,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(command, "plan_grid", lambda _, path: path.write_text(grid.model_dump_json()))
    command.main(
        str(folder),
        minutes=0,
        rows="4",
        few=2,
        lengths="1,3",
        precisions="float32",
        clock="processor",
        ways=f"{STUDY},{TORCH},steering-vectors",
        python=None,
        out=tmp_path,
        search=True,
        scaling=False,
    )
    table = capsys.readouterr().out
    assert (tmp_path / "sweep.md").read_text() == table
    told = json.loads((tmp_path / "sweep.json").read_text())
    same = {way["way"]: way["tokens"] for way in told["ways"]}
    assert same[STUDY] == {"same": 2, "of": 2}
    assert same[TORCH] == {"same": 4, "of": 4}
    (searched,) = told["searches"]
    assert searched["way"] == TORCH
    assert 0 < searched["outputs"] < len(grid.doses) * len(grid.prompts)
    assert f"| {TORCH}, `--search` | float32 |" in table
    assert "steering-vectors" in table
    assert (tmp_path / "sweep.svg").read_text().startswith("<svg")
