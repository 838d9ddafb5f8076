"""The driver's end of the processes: where a way can run, and a turn at a time."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from benchmarks.sweep.grid import Row
from benchmarks.sweep.ways import Way

ROOT = Path(__file__).parents[2]
_ASK = (
    "import json, sys; from importlib.util import find_spec; "
    "print(json.dumps([name for name in sys.argv[1:] if find_spec(name)]))"
)


class TurnError(Exception):
    """A way failed."""


def environment() -> dict[str, str]:
    """The driver's, with this checkout first on the path."""
    path = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path), "VLLM_CPU_NUM_OF_RESERVED_CPU": "0"}


def interpreters_of(ways: Sequence[Way], pythons: Sequence[str]) -> dict[str, str]:
    """For each way that can run, the first interpreter that has its package."""
    wanted = sorted({way.package for way in ways})
    found: dict[str, str] = {}
    for python in (sys.executable, *pythons):
        asked = subprocess.run(
            [python, "-c", _ASK, *wanted], env=environment(), check=True, capture_output=True, text=True
        )
        packages = json.loads(asked.stdout)
        for way in ways:
            if way.package in packages:
                found.setdefault(way.name, python)
    return found


class Process:
    """A worker, which waits between its turns."""

    def __init__(self, python: str, model: str, precision: str, grid: Path) -> None:
        self._child = subprocess.Popen(
            [python, "-m", "benchmarks.sweep.worker", model, precision, str(grid)],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def turn(self, way: Way, rows: Sequence[Row], lengths: Sequence[int]) -> dict[str, Any]:
        """Runs the rows to each of the lengths, one after the other; what `worker.take_turn` tells.

        Raises:
            TurnError: the way failed, or the process ended.
        """
        assert self._child.stdin
        assert self._child.stdout
        try:
            print(
                json.dumps({"way": way.name, "rows": rows, "lengths": lengths}),
                file=self._child.stdin,
                flush=True,
            )
            line = self._child.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise TurnError(f"its process ended with {self._child.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise TurnError(answer["error"])
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process, which has nothing left to do."""
        self._child.communicate()
