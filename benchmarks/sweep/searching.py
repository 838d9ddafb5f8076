"""A whole gauge by `--search`, in a process of its own and measured to its end: controls and checks are in it."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.sweep.grid import DEPTHS, NEW_TOKENS, NORM_FRACTIONS
from benchmarks.sweep.processes import ROOT, environment
from benchmarks.sweep.rounds import Entry
from benchmarks.sweep.summary import REFERENCE, Line
from benchmarks.sweep.ways import STUDY, TORCH, VLLM

_HEAD = (
    "a whole gauge", "precision", "minutes", "outputs", "tokens", "× the study's grid", "× it in float32", "best"
)  # fmt: skip
_ENGINES = {TORCH: "torch", VLLM: "vllm"}


class Searched(NamedTuple):
    """What a gauge took from a loaded model to its result, and what it found."""

    seconds: float
    outputs: int
    tokens: int
    best: str | None


def search(name: str, precision: str, engine: str) -> Searched:
    """Searches the grid that the ways sweep."""
    from steergauge.models.loading import load_model  # noqa: PLC0415 - the driver needs no torch
    from steergauge.studies.gauge import gauge  # noqa: PLC0415
    from steergauge.studies.settings import GaugeSettings  # noqa: PLC0415

    model = load_model(name, precision=precision)
    settings = GaugeSettings(
        depths=DEPTHS, norm_fractions=NORM_FRACTIONS, max_new_tokens=NEW_TOKENS, search=True
    )
    with tempfile.TemporaryDirectory() as scratch:
        begun = time.perf_counter()
        result = gauge(model, settings, store=Path(scratch) / "search.db", engine=engine)
        seconds = time.perf_counter() - begun
    tokens = sum(made.tokens for made in result.generations)
    best = result.best.condition if result.best else None
    return Searched(seconds, len(result.generations), tokens, best)


def run(model: str, entries: Mapping[Entry, str]) -> Iterator[tuple[Entry, Searched]]:
    """Searches with each engine that is among the entries, in its interpreter, one after another."""
    for entry, python in entries.items():
        if entry.way.name in _ENGINES:
            asked = [
                python,
                "-m",
                "benchmarks.sweep.searching",
                model,
                entry.precision,
                _ENGINES[entry.way.name],
            ]
            told = subprocess.run(
                asked, cwd=ROOT, env=environment(), check=True, stdout=subprocess.PIPE, text=True
            )
            yield entry, Searched(*json.loads(told.stdout.splitlines()[-1]))


def write_searches(searches: Sequence[tuple[Entry, Searched]], lines: Sequence[Line]) -> str:
    """Markdown: a line a gauge, beside what the study's way takes for the grid alone."""
    hours = {line.entry.precision: line.hours for line in lines if line.entry.way.name == STUDY}

    def times(precision: str, seconds: float) -> str:
        of_study = hours.get(precision)
        return "" if of_study is None else f"{3600 * of_study / seconds:.3g}"

    rows = [
        (
            f"{entry.way.name}, `--search`",
            entry.precision,
            f"{found.seconds / 60:.1f}",
            str(found.outputs),
            str(found.tokens),
            times(entry.precision, found.seconds),
            times(REFERENCE, found.seconds),
            found.best or "none",
        )
        for entry, found in searches
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (_HEAD, ["---"] * len(_HEAD), *rows))


if __name__ == "__main__":
    print(json.dumps(search(*sys.argv[1:])))
