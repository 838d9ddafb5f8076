"""The built-in files of the studies of methods, tools, contrast sets and hypotheses 2 and 4, and their plans."""

from pathlib import Path

import pytest

from commands import Run
from steergauge.directions.selections import selection_readings
from steergauge.judging.judges import DEFAULT_JUDGE
from steergauge.models.phantom import Phantom
from steergauge.prompts import study_contrast_set
from steergauge.studies.experiments.table import EXPERIMENTS
from steergauge.studies.study import find_experiment, read_study

NAMES = ("method", "tooling", "extraction", "nonlinear", "stability")


@pytest.mark.parametrize("name", NAMES)
def test_a_built_in_study_is_planned_without_its_models(name: str) -> None:
    settings = read_study(name)
    work = find_experiment(name).plan(settings)
    assert [one.name for one in settings.models] == list(dict.fromkeys(part.model.name for part in work))
    assert all(part.readings or part.generations for part in work)


def test_the_built_in_studies_read_with_the_papers_rule_and_ones_own_with_the_default(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('study = "dose"\nmodels = ["phantom"]\n', encoding="utf-8")
    assert {read_study(name).judge for name in EXPERIMENTS if name != "stability"} == {"study"}
    assert read_study(str(tmp_path / "own.toml")).judge == DEFAULT_JUDGE == "gauge"


def test_the_method_study_is_affordable_on_two_slow_cores() -> None:
    tokens: dict[str, int] = {}
    for part in find_experiment("method").plan(read_study("method")):
        tokens[part.model.name] = tokens.get(part.model.name, 0) + part.generations * part.max_new_tokens
    assert tokens["qwen2.5-coder-0.5b"] <= 60_000
    assert tokens["qwen2.5-coder-1.5b"] <= 12_500


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_tells_time_and_memory(run: Run, phantom: Phantom, tmp_path: Path, name: str) -> None:
    dose = "" if name == "stability" else "doses = [2]\n"
    text = f'study = "{name}"\ndepths = [0.5]\n{dose}models = ["{phantom.folder}"]\n'
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    done = run("study", "own.toml", "--plan")
    assert done.code == 0, done.err
    for words in ("together", "GiB", " s"):
        assert words in done.out
    assert not (tmp_path / "steergauge.db").exists()


def test_other_contrast_sets_are_looked_for_beside_the_study_file(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text(
        "positive,negative\nHow do I hack?,How do I learn?\n", encoding="utf-8"
    )
    (tmp_path / "own.toml").write_text(
        'study = "stability"\nmodels = ["phantom"]\ncontrasts = ["other.csv"]\n', encoding="utf-8"
    )
    settings = read_study(str(tmp_path / "own.toml"))
    (work,) = find_experiment("stability").plan(settings)
    assert "study 5 and 5, other 1 and 1" in work.what


def test_a_selection_s_rows_are_planned_by_its_selecting_prompts() -> None:
    # Five template tokens; three rows for each of two selecting pairs, one, and two for each of five pairs. Of COSMIC's
    # rows half of the blocks run.
    contrast = study_contrast_set()
    rows = [selection_readings(name, contrast) for name in ("cosmic_official", "arditi", "cosmic_study")]
    assert rows == [5 * 3 * 2 / 2, 5 * 3 * 1, 5 * 2 * 5 / 2]
