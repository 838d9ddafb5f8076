"""A run that is killed anywhere and run again ends as if it had never been killed."""

import json
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from steergauge.models.phantom import Phantom

ROWS = 16
DELAY = 0.15
KILLS = 3


class Run(NamedTuple):
    folder: Path
    logs: list[list[dict[str, Any]]]  # one a process
    kept_before: list[set[str]]  # keys in the store when each process began


def start(phantom: Phantom, folder: Path, rows: int, delay: float) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    script = Path(__file__).with_name("killable.py")
    command = [sys.executable, str(script), str(phantom.folder), str(folder), str(rows), str(delay)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> None:
    _, complaints = process.communicate(timeout=120)
    assert process.returncode == 0, complaints


def log_of(folder: Path) -> list[dict[str, Any]]:
    path = folder / "log.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def kept_in(folder: Path) -> set[str]:
    if not (folder / "steergauge.db").exists():
        return set()
    connection = sqlite3.connect(folder / "steergauge.db")
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {key for (key,) in connection.execute("SELECT key FROM generations")}
    finally:
        connection.close()


@pytest.fixture(scope="module")
def runs(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """One run without interruption, and one that was killed several times."""
    whole = tmp_path_factory.mktemp("whole")
    undisturbed = start(phantom, whole, ROWS, 0)
    killed = tmp_path_factory.mktemp("killed")
    chance = random.Random(20)
    logs: list[list[dict[str, Any]]] = []
    kept: list[set[str]] = []
    for attempt in range(KILLS):
        kept.append(kept_in(killed))
        before = len(log_of(killed))
        # Only the first process may choose the batch.
        process = start(phantom, killed, ROWS if attempt == 0 else 5 * attempt, DELAY)
        waves, deadline = chance.randint(2, 3), time.monotonic() + 100
        while sum("begins" in line for line in log_of(killed)[before:]) < waves:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 1.5 * DELAY))
        process.kill()  # SIGKILL
        process.communicate()
        logs.append(log_of(killed)[before:])
    kept.append(kept_in(killed))
    before = len(log_of(killed))
    finish(start(phantom, killed, 64, 0))
    logs.append(log_of(killed)[before:])
    finish(undisturbed)
    return Run(whole, [log_of(whole)], [set()]), Run(killed, logs, kept)


def waves(run: Run) -> set[frozenset[str]]:
    return {frozenset(line["made"]) for log in run.logs for line in log if line.get("made")}


def timeless(run: Run, name: str) -> bytes:
    """A file without what differs between equal runs: when it started and how long it took."""
    text = (run.folder / name).read_text(encoding="utf-8")
    times = json.loads((run.folder / "result.json").read_text(encoding="utf-8"))["provenance"]
    for shown in (
        times["started"],
        f'"seconds": {json.dumps(times["seconds"])}',
        f"{times['seconds']:.0f} s</dd>",
    ):
        text = text.replace(shown, "")
    return text.encode()


def test_each_kill_left_something_made_and_something_to_do(runs: tuple[Run, Run]) -> None:
    whole, killed = runs
    sizes = [len(kept) for kept in killed.kept_before]
    assert sizes == sorted(sizes)
    assert 0 < sizes[1] < sizes[-1] < len(kept_in(whole.folder))


@pytest.mark.parametrize("name", ["report.html", "result.json"])
def test_the_report_is_byte_for_byte_that_of_a_run_never_interrupted(
    runs: tuple[Run, Run], name: str
) -> None:
    whole, killed = runs
    assert timeless(killed, name) == timeless(whole, name)
    assert len(timeless(whole, name)) > 10_000


def test_what_was_kept_before_a_kill_is_not_made_again(runs: tuple[Run, Run]) -> None:
    _, killed = runs
    for kept, log in zip(killed.kept_before, killed.logs, strict=True):
        made = {key for line in log for key in line.get("made", [])}
        assert not kept & made
    assert kept_in(killed.folder) == {key for wave in waves(killed) for key in wave}


def test_both_made_the_same_generations_in_the_same_batches(runs: tuple[Run, Run]) -> None:
    whole, killed = runs
    assert len(waves(whole)) >= 8
    assert waves(killed) == waves(whole)
    assert kept_in(killed.folder) == kept_in(whole.folder)


def test_the_outputs_are_the_same_to_the_token(runs: tuple[Run, Run]) -> None:
    query = "SELECT key, model, engine, steering, prompt, text, tokens, finish FROM generations ORDER BY key"
    both = []
    for run in runs:
        connection = sqlite3.connect(run.folder / "steergauge.db")
        both.append(connection.execute(query).fetchall())
        connection.close()
    assert both[0] == both[1]
    assert len(both[0]) == len(kept_in(runs[0].folder))
