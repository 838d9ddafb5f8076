"""`steergauge study` end to end on the phantom, and its mistakes in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from commands import Run, only_mistake
from steergauge.models.phantom import Phantom
from steergauge.studies.experiments.table import EXPERIMENTS


@pytest.fixture
def study_file(phantom: Phantom, tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(
        'study = "dose"\n'
        f'models = [{{name = "{phantom.folder}", precision = "float32"}}]\n'
        "doses = [1.0, 3.0]\nmax_new_tokens = 12\nrandom_directions = 1\n",
        encoding="utf-8",
    )
    return path


def test_a_study_is_told_and_written_and_a_second_run_makes_nothing(
    run: Run, study_file: Path, tmp_path: Path
) -> None:
    first = run("study", study_file)
    assert first.code == 0, first
    assert "Which doses steer each model at a fixed block" in " ".join(first.out.split())
    assert "The window of doses that reach 60%" in first.out
    assert f"written: {tmp_path / 'study-mine' / 'report.html'}" in first.out
    told = json.loads((tmp_path / "study-mine" / "result.json").read_text(encoding="utf-8"))
    assert told["made_now"] == 30 + 10 + 2 * 30 + 30
    outputs = pd.read_csv(tmp_path / "study-mine" / "outputs.csv", keep_default_na=False)
    assert len(outputs) == 30 + 2 * 30 + 30
    again = run("study", study_file, "--out", "again")
    assert json.loads((tmp_path / "again" / "result.json").read_text(encoding="utf-8"))["made_now"] == 0
    assert first.out.splitlines()[:-1] == again.out.splitlines()[:-1]
    assert "float32: steering" in first.err  # which model is at work


def test_a_plan_runs_and_writes_nothing(run: Run, study_file: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    outcome = run("study", study_file, "--plan", "--max-new-tokens", "10")
    assert outcome.code == 0
    words = outcome.out.split()
    # The control, two doses and a random vector on thirty prompts, and the ten contrast prompts.
    assert {"4", "130", "1,300"} <= set(words)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_plan_of_models_that_are_not_here_fetches_nothing(run: Run, tmp_path: Path) -> None:
    outcome = run("study", "architecture", "--plan", "--models", "qwen2.5-7b,smollm2-135m")
    assert outcome.code == 0
    assert "estimated from the catalogue's numbers" in " ".join(outcome.out.split())
    assert not (tmp_path / "cache").exists()


def test_options_go_before_the_file(run: Run, study_file: Path) -> None:
    line = only_mistake(run("study", study_file, "--judge", "studie", "--plan"))
    assert line.startswith("error: judge: there is no judge 'studie'")
    line = only_mistake(run("study", study_file, "--models", "a/b,a/b", "--plan"))
    assert line.startswith("error: models: a/b stands there twice")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a study, or a study file; `steergauge study --list` lists them"),
        (["dosis"], "no study 'dosis'; did you mean dose"),
        (["mine.toml"], "cannot read the study file mine.toml: No such file"),
        (["dose", "--models", ""], "models.0.name: "),
        (["dose", "--models", "qwen2.5-coder-05b", "--plan"], "did you mean qwen2.5-coder-0.5b"),
        (["dose", "--models", "qwen2.5-coder-05b"], "did you mean qwen2.5-coder-0.5b"),
        (["dose", "--max-new-tokens", "0"], "max_new_tokens: "),
        (["scale", "--models", "phantom"], "the size of phantom is not known: give its `parameters`"),
    ],
)
def test_a_mistake_is_one_line(run: Run, arguments: list[str], words: str) -> None:
    assert words in only_mistake(run("study", *arguments))


def test_the_list_names_every_study_and_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from steergauge import cli\n"
        "try: cli.main()\n"
        "finally: print({'torch', 'transformers', 'pandas', 'numpy'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "study", "--list"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "200"},
    )
    assert done.stderr.strip() == "set()"
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(EXPERIMENTS)
    assert all(listed.question in line for listed, line in zip(EXPERIMENTS.values(), lines, strict=True))
