"""What a study file may say, and how a mistake in one is told."""

from pathlib import Path

import pytest

from steergauge.errors import SteergaugeError
from steergauge.steering.dose import DoseUnit
from steergauge.studies.experiments.dose import DoseSettings
from steergauge.studies.experiments.scale import ScaleSettings
from steergauge.studies.experiments.table import EXPERIMENTS
from steergauge.studies.study import find_experiment, read_study
from steergauge.studies.study_settings import StudiedModel, StudySettings


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_listed_study_is_there_with_a_file_that_it_takes(name: str) -> None:
    settings = read_study(name)
    assert settings.study == name
    assert isinstance(settings, find_experiment(name).settings)
    assert find_experiment(name).plan(settings)
    assert EXPERIMENTS[name].question.endswith("?")


def test_a_file_gives_models_as_names_or_with_what_differs(tmp_path: Path) -> None:
    settings = read_study(
        written(
            tmp_path,
            'study = "dose"\nunit = "relative"\nmodels = ["phantom", {name = "a/b", depths = [0.4]}]\n',
        )
    )
    assert isinstance(settings, DoseSettings)
    assert settings.models == (StudiedModel(name="phantom"), StudiedModel(name="a/b", depths=(0.4,)))
    own = [settings.gauge_settings(model) for model in settings.models]
    assert [one.depths for one in own] == [(0.5,), (0.4,)]
    assert {one.unit for one in own} == {DoseUnit.RELATIVE}


def test_prompt_files_are_taken_from_where_the_study_file_stands(tmp_path: Path) -> None:
    (tmp_path / "benign.jsonl").write_text('{"prompt": "Bake a cake"}\n', encoding="utf-8")
    settings = read_study(
        written(tmp_path, 'study = "architecture"\nmodels = ["phantom"]\nprompts = "benign.jsonl"\n')
    )
    prompts = settings.gauge_settings(settings.models[0]).evaluation_set.prompts
    assert [prompt.text for prompt in prompts] == ["Bake a cake"]


MODELS = 'models = ["phantom"]'
TABLES = '\n[[models]]\nname = "phantom"\n\n[[models]]\nname = "other/one"\n'


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (f'study = "depht"\n{MODELS}', 1, "no study 'depht'; did you mean depth"),
        (f'study = "dose"\n{MODELS}\n\ndepht = [0.5]', 4, "depht: there is no such key; did you mean depth"),
        (f'study = "dose"\n{MODELS}\nthreshold = 60', 3, "threshold: "),
        (f'study = "dose"\n{MODELS}\njudge = "studie"', 3, "there is no judge 'studie': did you mean study"),
        (f'study = "dose"\n{MODELS}\nmethods = ["dimm"]', 3, "did you mean dim"),
        (f'study = "dose"\n{MODELS}\nmethods = ["dim", "svd"]', 3, "methods: this study takes one method, of dim"),
        (f'study = "dose"\n{MODELS}\nmethods = ["cosmic_official"]', 3, "this study takes one method"),
        (f'study = "dose"\n{MODELS}\nunit = "sigma"', 3, "sigma is the unit of attention heads"),
        (f'study = "dose"\n{MODELS}\ndoses = [1, 0]', 3, "doses: a dose is a finite number other than 0"),
        (f'study = "dose"\n{MODELS}\ndoses = [1, 1.0]', 3, "doses: 1.0 stands there twice"),
        (f'study = "architecture"\n{MODELS}\ndepths = [1.5]', 3, "depths: a depth is a fraction"),
        ('study = "dose"\nmodels = ["a/b", "a/b"]', 2, "models: a/b stands there twice"),
        ('study = "dose"\nmodels = []', 2, "models: "),
        ('study = "dose"\nmodels = [""]', 2, "models.0.name: "),
        ('study = "dose"\nmodels = [\n  {name = "a/b", dose = [1]},\n]', 2, "dose: there is no such key; did you mean doses"),
        (f'study = "dose"\n{TABLES}doses = [0]', 8, "models.1.doses: a dose is a finite number"),
        (f'study = "dose"\n{TABLES}depth = [0.5]', 8, "models.1.depth: there is no such key; did you mean depths"),
        (f'study = "dose"\n{TABLES}[[models]]\nprecision = "auto"', 8, "models.2.name: Field required"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_line_and_near_names(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SteergaugeError) as told:
        read_study(path)
    assert str(told.value).startswith(f"{path}, line {line}: ")
    assert words in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("study = ", "is no TOML: Invalid value (at end of document)"),
        ("study = \xff".encode("latin-1"), "is no TOML: "),
        (MODELS, 'does not say which study it is: add a line such as study = "depth"'),
        (f"study = 3\n{MODELS}", "does not say which study it is"),
        ('study = "dose"', "models: Field required"),
        (f'study = "scale"\n{MODELS}\nraw_dose = 3', "the size of phantom is not known: give its `parameters`"),
        ('study = "scale"\nmodels = ["qwen2.5-3b"]\nraw_dose = 3', "two sizes at least"),
        ('study = "scale"\nraw_dose = 3\nmodels = ["qwen2.5-3b", {name = "a/b", parameters = 3}]', "two sizes at least"),
        (f'study = "depth"\n{MODELS}', "phantom needs one dose"),
        (f'study = "depth"\n{MODELS}\ndoses = [1, 2]', "phantom needs one dose"),
        (f'study = "dose"\n{MODELS}\ndepths = [0.4, 0.5]', "phantom needs one depth"),
    ],
)  # fmt: skip
def test_a_mistake_of_the_whole_file_is_told_with_the_file(
    tmp_path: Path, text: str | bytes, words: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SteergaugeError) as told:
        read_study(str(path))
    assert str(told.value).startswith(str(path))
    assert words in str(told.value)
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(SteergaugeError, match=r"cannot read the study file none\.toml: No such file"):
        read_study("none.toml")


def test_a_mistake_in_an_option_is_not_the_files(tmp_path: Path) -> None:
    path = written(tmp_path, f'study = "dose"\n{MODELS}\njudge = "gauge"\n')
    assert read_study(path, {"judge": "study"}).judge == "study"
    with pytest.raises(SteergaugeError, match=r"^judge: there is no judge 'studie'"):
        read_study(path, {"judge": "studie"})


def test_a_model_is_known_by_its_name_or_its_hub_id() -> None:
    by_name, by_id = (
        StudiedModel(name="smollm2-135m"),
        StudiedModel(name="HuggingFaceTB/SmolLM2-135M-Instruct"),
    )
    assert by_name.billions == by_id.billions == pytest.approx(0.135)
    assert by_name.family == by_id.family
    own = StudiedModel(name="./folder", parameters=0.2)
    assert (own.billions, own.family) == (0.2, None)


def test_one_model_at_two_precisions_is_two_models() -> None:
    models = [{"name": "phantom", "precision": one} for one in ("float32", "bfloat16")]
    settings = StudySettings.model_validate({"study": "architecture", "models": models})
    assert [model.label for model in settings.models] == ["phantom, float32", "phantom, bfloat16"]


def test_sizes_are_in_order_and_a_size_in_the_file_goes_before_the_catalogues() -> None:
    settings = ScaleSettings.model_validate(
        {
            "study": "scale",
            "raw_dose": 1,
            "models": ["qwen2.5-7b", "qwen2.5-3b", {"name": "qwen2.5-14b", "parameters": 1}],
        }
    )
    assert [model.name for model in settings.in_order()] == ["qwen2.5-14b", "qwen2.5-3b", "qwen2.5-7b"]
