"""Scaling curves of the engines: time and peak memory against conditions, prompts, tokens, batch, model size and workers."""

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from benchmarks.sweep.grid import Grid, Row, load_grid
from benchmarks.sweep.processes import Process
from benchmarks.sweep.ways import RAY, TORCH, VLLM, Way, find_way

logger = logging.getLogger(__name__)


class Point(NamedTuple):
    """A sweep: conditions × prompts × tokens, so many rows at a time."""

    conditions: int
    prompts: int
    tokens: int
    batch: int


# From the least work to the most, but the last, whose work is the same: a process's peak memory only grows.
AXES = {
    "conditions": [Point(conditions, 4, 8, 64) for conditions in (1, 2, 4, 8)],
    "prompts": [Point(1, prompts, 8, 64) for prompts in (4, 8, 15, 30)],
    "tokens": [Point(1, 8, tokens, 64) for tokens in (8, 16, 32, 64)],
    "batch": [Point(4, 8, 8, batch) for batch in (1, 2, 4, 8, 16, 32)],
}
OF_A_SIZE = Point(2, 8, 8, 64)
OF_WORKERS = Point(4, 8, 16, 64)


class Measure(NamedTuple):
    """What a sweep took."""

    seconds: float
    peak_bytes: int | None


class Curve(NamedTuple):
    """Seconds and peak bytes at each point of an axis, and the exponent of a line through their logarithms."""

    engine: str
    axis: str
    at: list[int]
    seconds: list[float]
    peak_bytes: list[int | None]
    exponent: float


def exponent(at: list[int], seconds: list[float]) -> float:
    """B of seconds = a · at^b, by least squares on logarithms."""
    return float(np.polyfit(np.log(at), np.log(seconds), 1)[0])


def run(models: Sequence[tuple[str, Path]], installed: Mapping[str, str], out: Path) -> str:
    """Measures what is installed, writes `curves.json` and `curves.md`, and returns the table.

    Args:
        models: each with its grid's file; the first is measured along all axes, all of them along that of size.
        installed: interpreters, by way.
        out: a folder.
    """
    curves = list(_measured(models, installed))
    (out / "curves.json").write_text(
        json.dumps([curve._asdict() for curve in curves], indent=1), encoding="utf-8"
    )
    table = "\n".join(
        ["| engine | time against | at | seconds | exponent | peak, GiB |", "|---|---|---|---|---|---|"]
        + [
            f"| {curve.engine} | {curve.axis} | {_listed(curve.at, ',d')} | {_listed(curve.seconds, '.2f')} "
            f"| {curve.exponent:.2f} "
            f"| {_listed([peak / 2**30 for peak in curve.peak_bytes if peak is not None], '.2f')} |"
            for curve in curves
        ]
    )
    (out / "curves.md").write_text(table + "\n", encoding="utf-8")
    return table


def _listed(values: Sequence[float], form: str) -> str:
    return "; ".join(format(value, form) for value in values)


def _measured(models: Sequence[tuple[str, Path]], installed: Mapping[str, str]) -> Iterator[Curve]:
    (name, grid_file), grids = models[0], [load_grid(path) for _, path in models]
    for engine in (find_way(name) for name in (TORCH, VLLM) if name in installed):
        for axis, points in AXES.items():
            with Process(installed[engine.name], name, "float32", grid_file) as process:
                measures = along(engine, points, process, grids[0])
            yield curve_of(engine.name, axis, [getattr(point, axis) for point in points], measures)
        if len(models) > 1:
            measures = []
            for (one, path), grid in zip(models, grids, strict=True):
                with Process(installed[engine.name], one, "float32", path) as process:
                    measures += along(engine, [OF_A_SIZE], process, grid)
            yield curve_of(engine.name, "parameters", [grid.parameters for grid in grids], measures)
    processors = os.cpu_count() or 1
    workers = {number: way for number, way in RAY.items() if way.name in installed and number <= processors}
    if len(workers) > 1:
        measures = []
        for way in workers.values():
            with Process(installed[way.name], name, "float32", grid_file) as process:
                (found,) = along(way, [OF_WORKERS], process, grids[0])
            measures.append(found._replace(peak_bytes=None))  # the driver's would say nothing
        yield curve_of("torch on Ray", "workers", list(workers), measures)


def curve_of(engine: str, axis: str, at: list[int], measures: Sequence[Measure]) -> Curve:
    """A curve through what was measured."""
    seconds = [one.seconds for one in measures]
    return Curve(engine, axis, at, seconds, [one.peak_bytes for one in measures], exponent(at, seconds))


def along(way: Way, points: Sequence[Point], process: Process, grid: Grid) -> list[Measure]:
    """Points in one process, after a warm-up; the faster of two runs at each."""
    measures = []
    process.turn(way, [Row(0, 0)], [2])
    for point in points:
        rows = [
            Row(condition, prompt)
            for condition in range(min(point.conditions, len(grid.doses)))
            for prompt in range(point.prompts)
        ]
        batches = [rows[start : start + point.batch] for start in range(0, len(rows), point.batch)]
        answers = [process.turn(way, batch, [point.tokens] * 2) for batch in batches]
        seconds = sum(min(answer["seconds"]["wall"]) for answer in answers)
        measures.append(Measure(seconds, max(answer["peak_bytes"] for answer in answers)))
        logger.info("%s: %s %.2f s", way.name, point, seconds)
    return measures
