"""`steergauge reproduce` on the phantom, with few studies: the others differ in what they measure alone."""

import json
from pathlib import Path

import pytest

from commands import Run, mistake
from steergauge.studies import reproduction
from steergauge.studies.claims import claims
from steergauge.studies.experiments.table import EXPERIMENTS


@pytest.fixture(autouse=True)
def two_studies(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {name: EXPERIMENTS[name] for name in ("rank", "transfer")}
    monkeypatch.setattr(reproduction, "EXPERIMENTS", kept)


def test_it_runs_what_can_be_run_and_writes_an_answer_to_every_claim(run: Run, tmp_path: Path) -> None:
    done = run("reproduce", "--models", "phantom", "--max-new-tokens", 8)
    assert done.code == 0, done.err
    assert "The study repeated on phantom" in done.out
    assert "study transfer did not run: one model has nobody to lend a direction to" in " ".join(
        done.out.split()
    )
    folder = tmp_path / "reproduction"
    assert (folder / "rank" / "report.html").is_file()
    assert "What of" not in (folder / "index.html").read_text()
    told = json.loads((folder / "result.json").read_text())
    assert [one["claim"]["id"] for one in told["answers"]] == list(claims())
    assert list(told["not_run"]) == ["transfer"]
    assert told["models"] == ["phantom"]


def test_nothing_to_run_is_one_line(run: Run) -> None:
    line = mistake(run("reproduce", "--models", "phantom", "--max-new-tokens", 0))
    assert line.startswith("error: no study can run on these models; rank: max_new_tokens:")
