"""Studies on the phantom with few prompts, so that they take seconds."""

from pathlib import Path

from steergauge.models.loading import Model
from steergauge.prompts import study_evaluation_set
from steergauge.store import Store
from steergauge.studies.study import find_experiment, run_study
from steergauge.studies.study_file import study_settings
from steergauge.studies.study_result import StudyResult, StudyTable
from steergauge.studies.study_settings import StudySettings

PROMPTS = [prompt.text for prompt in study_evaluation_set().prompts[:12]]


def settings(folder: Path, study: str, **declared: object) -> StudySettings:
    """A study of the phantom on twelve prompts and six new tokens, unless declared otherwise."""
    path = folder / "twelve.jsonl"
    path.write_text("".join(f'{{"prompt": "{prompt}"}}\n' for prompt in PROMPTS), encoding="utf-8")
    common: dict[str, object] = {
        "study": study,
        "models": ["phantom"],
        "prompts": path,
        "max_new_tokens": 6,
        "random_directions": 1,
    }
    mapping = {name: value for name, value in {**common, **declared}.items() if value is not None}
    kind: type[StudySettings] = find_experiment(study).settings
    return study_settings(kind, mapping)


def run(model: Model, folder: Path, declared: StudySettings) -> StudyResult:
    """Runs it on a store in that folder."""
    with Store(folder / "steergauge.db") as store:
        return run_study(declared, store=store, models={"phantom": model})


def table(result: StudyResult, name: str) -> StudyTable:
    """Its table of a name."""
    return next(one for one in result.tables if one.name == name)
