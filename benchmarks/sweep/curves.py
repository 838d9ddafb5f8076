"""Scaling curves of the engines: time and peak memory against conditions, prompts, tokens and batch."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from benchmarks.sweep.grid import Grid, Row
from benchmarks.sweep.processes import Process
from benchmarks.sweep.ways import TORCH, VLLM, find_way

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


class Curve(NamedTuple):
    """Seconds and peak bytes at each point of an axis, and the exponent of a line through their logarithms."""

    engine: str
    axis: str
    at: list[int]
    seconds: list[float]
    peak_bytes: list[int]
    exponent: float


def exponent(at: list[int], seconds: list[float]) -> float:
    """B of seconds = a · at^b, by least squares on logarithms."""
    return float(np.polyfit(np.log(at), np.log(seconds), 1)[0])


def run(model: str, grid: Grid, grid_file: Path, installed: Mapping[str, str], out: Path) -> str:
    """Measures each engine that is installed, writes `curves.json` and `curves.md`, and returns the table."""
    curves = [
        measure(engine, axis, Process(installed[engine], model, "float32", grid_file), grid)
        for engine in (TORCH, VLLM)
        if engine in installed
        for axis in AXES
    ]
    (out / "curves.json").write_text(
        json.dumps([curve._asdict() for curve in curves], indent=1), encoding="utf-8"
    )
    table = "\n".join(
        ["| engine | time against | at | seconds | exponent | peak, GiB |", "|---|---|---|---|---|---|"]
        + [
            f"| {curve.engine} | {curve.axis} | {_listed(curve.at, 'd')} | {_listed(curve.seconds, '.2f')} "
            f"| {curve.exponent:.2f} | {_listed([peak / 2**30 for peak in curve.peak_bytes], '.2f')} |"
            for curve in curves
        ]
    )
    (out / "curves.md").write_text(table + "\n", encoding="utf-8")
    return table


def _listed(values: Sequence[float], form: str) -> str:
    return ", ".join(format(value, form) for value in values)


def measure(engine: str, axis: str, process: Process, grid: Grid) -> Curve:
    """One axis in a process of its own, after a warm-up; the faster of two runs at each point."""
    seconds, peaks, way = [], [], find_way(engine)
    process.turn(way, [Row(0, 0)], [2])
    for point in AXES[axis]:
        rows = [
            Row(condition, prompt)
            for condition in range(min(point.conditions, len(grid.doses)))
            for prompt in range(point.prompts)
        ]
        batches = [rows[start : start + point.batch] for start in range(0, len(rows), point.batch)]
        answers = [process.turn(way, batch, [point.tokens] * 2) for batch in batches]
        seconds.append(sum(min(answer["seconds"]["wall"]) for answer in answers))
        peaks.append(max(answer["peak_bytes"] for answer in answers))
        logger.info("%s, %s: %s %.2f s", engine, axis, point, seconds[-1])
    process.close()
    at = [getattr(point, axis) for point in AXES[axis]]
    return Curve(engine, axis, at, seconds, peaks, exponent(at, seconds))
