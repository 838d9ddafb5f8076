"""A process that holds ways and runs one when its turn comes: a line of JSON in, a line of JSON out."""

import json
import os
import resource
import sys
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.sweep.grid import Row, load_grid
from benchmarks.sweep.ways import Run, Start, find_way

CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def main(name: str, precision: str, grid_file: str) -> None:
    """Answers until its input ends; what libraries print goes to the error stream."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    grid = load_grid(Path(grid_file))
    started: dict[str, Run] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if asked["way"] not in started:
                started[asked["way"]] = start(asked["way"])(name, precision, grid)
            answer = take_turn(started[asked["way"]], asked)
        except Exception as error:  # told in the table: the other ways go on
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)
    os._exit(0)  # what some libraries do at exit takes longer than a round


def start(way: str) -> Start:
    """The function that gets a way ready."""
    module, function = find_way(way).start.split(":")
    found: Start = getattr(import_module(f"benchmarks.sweep.{module}"), function)
    return found


def take_turn(run: Run, asked: dict[str, Any]) -> dict[str, Any]:
    """Runs rows to each of the lengths; what was made, the seconds by clock and length, and the process's peak memory."""
    import torch  # noqa: PLC0415 - there by now

    rows, made = [Row(*row) for row in asked["rows"]], []
    seconds: dict[str, list[float]] = {clock: [] for clock in CLOCKS}
    for tokens in asked["lengths"]:
        begun = {clock: read() for clock, read in CLOCKS.items()}
        made = run(rows, tokens)
        for clock, read in CLOCKS.items():
            seconds[clock].append(read() - begun[clock])
    return {
        "seconds": seconds,
        "made": made,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024),
        "threads": torch.get_num_threads(),
        "versions": {package: version(package) for package in ("torch", "transformers")},
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
