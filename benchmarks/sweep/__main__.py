"""The command: python -m benchmarks.sweep MODEL."""

import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from benchmarks.sweep import curves, searching
from benchmarks.sweep.figure import draw
from benchmarks.sweep.grid import Grid, load_grid
from benchmarks.sweep.processes import ROOT, environment, interpreters_of
from benchmarks.sweep.rounds import Entry, Shape, measure
from benchmarks.sweep.summary import summarize
from benchmarks.sweep.table import as_json, write_table
from benchmarks.sweep.ways import RAY, WAYS


def main(  # noqa: PLR0917
    model: Annotated[str, typer.Argument(help="By catalogue name, hub id or folder.")],
    minutes: Annotated[float, typer.Option(help="No round begins that would not end by then.")] = 20,
    rows: Annotated[str, typer.Option(help="Of a turn of the engines, in each precision.")] = "60,6",
    few: Annotated[int, typer.Option(help="Of a turn of the study's way.")] = 2,
    lengths: Annotated[str, typer.Option(help="New tokens of a turn's short and long run.")] = "4,20",
    precisions: Annotated[
        str, typer.Option(help="float32 must be among them for ratios to it.")
    ] = "float32,bfloat16",
    clock: Annotated[
        str, typer.Option(help="wall, or processor: on a busy machine, with one thread.")
    ] = "wall",
    ways: Annotated[str, typer.Option(help="Some of the table's, by name; all unless said.")] = "",
    python: Annotated[
        list[str] | None, typer.Option(help="Another environment's interpreter, with vLLM, say.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder of table, figure and JSON.")] = Path("sweep"),
    search: Annotated[
        bool, typer.Option("--search", help="After the rounds, search with each engine, to the end.")
    ] = False,
    scaling: Annotated[bool, typer.Option("--curves", help="Scaling curves in place of the table.")] = False,
    beside: Annotated[
        str, typer.Option("--beside", help="Models of other sizes for the curves, with commas.")
    ] = "",
) -> None:
    """Measures the ways to run a sweep, side by side."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    known = [way.name for way in WAYS]
    names = ways.split(",") if ways else known
    if unknown := [name for name in names if name not in known]:
        raise typer.BadParameter(f"--ways: no {unknown[0]!r}; there are {', '.join(known)}")
    if len(_numbers(rows)) < len(precisions.split(",")):
        raise typer.BadParameter(f"--rows {rows}: one number for each of {precisions}")
    chosen = [way for way in WAYS if way.name in names]
    installed = interpreters_of([*chosen, *RAY.values()], python or [])
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        grid_file = Path(scratch) / "grid.json"
        begun = time.monotonic()
        plan_grid(model, grid_file)
        grid, left = load_grid(grid_file), 60 * minutes - (time.monotonic() - begun)
        if scaling:
            models = [(model, grid_file)]
            for place, other in enumerate(filter(None, beside.split(","))):
                models.append((other, Path(scratch) / f"{place}.json"))
                plan_grid(*models[-1])
            print(curves.run(models, installed, out))
            return
        of_precisions = dict(zip(precisions.split(","), _numbers(rows), strict=False))
        shape = Shape(of_precisions, few, _pair(lengths))
        entries = [Entry(way, precision) for precision in of_precisions for way in chosen]
        run = {entry: installed[entry.way.name] for entry in entries if entry.way.name in installed}
        measured = measure(model, grid, grid_file, run, shape=shape, seconds=left, clock=clock)
    lines = summarize(measured.turns, grid, shape.lengths, labelling(grid))
    searches = list(searching.run(model, run)) if search else []
    missing = {entry: "not installed" for entry in entries if entry not in run}
    missing |= {entry: f"failed: {why[:200]}" for entry, why in measured.failures.items()}
    provenance = machine()
    rounds = max((turn.round for turn in measured.turns), default=0)
    told = f"{model}, {rounds} rounds, {clock} time, {', '.join(map(str, provenance.values()))}"
    table = write_table(lines, missing, measured, grid, shape=shape, told=told)
    if searches:
        table += f"\n\n{searching.write_searches(searches, lines)}"
    (out / "sweep.md").write_text(table + "\n", encoding="utf-8")
    described = as_json(
        lines,
        missing,
        measured,
        shape,
        {
            "model": model,
            "rounds": rounds,
            "clock": clock,
            "machine": provenance,
            "searches": [
                {"way": entry.way.name, "precision": entry.precision, **found._asdict()}
                for entry, found in searches
            ],
        },
    )
    (out / "sweep.json").write_text(json.dumps(described, indent=1), encoding="utf-8")
    (out / "sweep.svg").write_text(draw(lines, f"A sweep of {model}, tokens per second"), encoding="utf-8")
    print(table)


def plan_grid(model: str, path: Path) -> None:
    """Plans in a process of its own, whose model is gone when the others load theirs."""
    command = [sys.executable, "-m", "benchmarks.sweep.grid", model, str(path)]
    subprocess.run(command, cwd=ROOT, env=environment(), check=True)


def labelling(grid: Grid) -> Callable[[Sequence[int]], str]:
    """The study's judge on an output's tokens, up to what would have ended it."""
    from transformers import AutoTokenizer  # noqa: PLC0415 - slow to import

    from steergauge.judging.study import StudyJudge  # noqa: PLC0415

    tokenizer, judge = AutoTokenizer.from_pretrained(grid.folder), StudyJudge()

    def label(tokens: Sequence[int]) -> str:
        end = next((place for place, token in enumerate(tokens) if token in grid.stop_tokens), len(tokens))
        return str(judge.judge(str(tokenizer.decode(list(tokens[:end]), skip_special_tokens=True))).label)

    return label


def machine() -> dict[str, Any]:
    """What it was measured on, and when."""
    from steergauge.studies.provenance import hardware  # noqa: PLC0415

    return {**hardware("cpu"), "date": datetime.now(UTC).date().isoformat()}


def _numbers(listed: str) -> list[int]:
    return [int(number) for number in listed.split(",")]


def _pair(lengths: str) -> tuple[int, int]:
    short, long = _numbers(lengths)
    if not 0 < short < long:
        raise typer.BadParameter(f"--lengths {lengths}: the short run's tokens, then the long one's")
    return short, long


if __name__ == "__main__":
    typer.run(main)
