"""Studies on the phantom, whose best depth and window are known in closed form."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from records import PROMPTS

from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.models.phantom import Phantom
from steergauge.steering import vllm_engine
from steergauge.store import Store
from steergauge.studies.bench import Bench
from steergauge.studies.measurements import Rate
from steergauge.studies.study import find_experiment, read_study, run_study
from steergauge.studies.study_result import Estimate, Outcome, StudyResult
from steergauge.studies.study_settings import StudiedModel, StudySettings

SHORT = {"max_new_tokens": 12, "random_directions": 1}
BLOCKS = 6


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def settings(study: str, **changes: object) -> StudySettings:
    return read_study(study, {"models": ["planted"], "unit": "raw", **SHORT, **changes})


def rows(result: StudyResult, table: str) -> list[dict[str, Any]]:
    return [dict(row) for row in next(one for one in result.tables if one.name == table).rows]


def expected(phantom: Phantom, block: int, dose: float) -> tuple[int, int]:
    """How many of the thirty prompts are refused, and how many garbled, by the phantom's closed form."""
    components = [phantom.component(prompt) + (BLOCKS - block) * dose for prompt in PROMPTS]
    garbled = sum(one > phantom.garbling_threshold for one in components)
    return sum(one > phantom.threshold for one in components) - garbled, garbled


@pytest.fixture(scope="module")
def models(phantom_model: Model) -> Mapping[str, Model]:
    return {"planted": phantom_model, "again": phantom_model}


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study") / "steergauge.db"


@pytest.fixture
def four_prompts(tmp_path: Path) -> Path:
    """Fewer, where the outcome does not matter."""
    path = tmp_path / "benign.jsonl"
    path.write_text("".join(f'{{"prompt": "{prompt}"}}\n' for prompt in PROMPTS[:4]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def by_depth(models: Mapping[str, Model], store_path: Path) -> StudyResult:
    torch.set_num_threads(1)
    return run_study(settings("depth", depths=(0.2, 0.5, 0.9), doses=(3.2,)), store=store_path, models=models)


def test_depth_finds_the_planted_best_depth_and_is_certain_of_it(
    phantom: Phantom, by_depth: StudyResult
) -> None:
    found = [(row["block"], row["refusal"].count, row["garbled"].count) for row in rows(by_depth, "depths")]
    assert found == [(block, *expected(phantom, block, 3.2)) for block in (1, 3, 5)]
    assert [row[1] for row in found].count(30) == 1
    (best,) = rows(by_depth, "best")
    assert (best["best"], best["set"], best["refusal"].count, best["held_out"].count) == (
        "50%",
        "50%",
        30,
        15,
    )
    assert best["certainty"] > 0.999


def test_a_second_run_makes_nothing_new_and_differs_in_its_times_alone(
    by_depth: StudyResult, models: Mapping[str, Model], store_path: Path
) -> None:
    again = run_study(
        settings("depth", depths=(0.2, 0.5, 0.9), doses=(3.2,)), store=store_path, models=models
    )
    assert (by_depth.made_now > 0, again.made_now) == (True, 0)

    def without_times(result: StudyResult) -> dict[str, Any]:
        told = result.model_dump(exclude={"started", "seconds", "made_now"})
        for gauge in told["gauges"].values():
            for name in ("started", "seconds"):
                gauge["provenance"].pop(name)
        return told

    assert without_times(again) == without_times(by_depth)
    assert again.generations_to_pandas().equals(by_depth.generations_to_pandas())


def test_dose_finds_the_planted_window_and_what_stands_on_each_side(
    phantom: Phantom, models: Mapping[str, Model], store_path: Path
) -> None:
    doses = (0.9, 1.9, 3.0, 4.2, 6.0)
    result = run_study(settings("dose", depths=(0.5,), doses=doses), store=store_path, models=models)
    counts = {dose: expected(phantom, 3, dose) for dose in doses}
    assert [(row["refusal"].count, row["garbled"].count) for row in rows(result, "doses")] == list(
        counts.values()
    )
    inside = [dose for dose, (refused, _) in counts.items() if refused >= 0.6 * 30]
    (window,) = rows(result, "windows")
    assert len(inside) == 3
    assert (window["from"], window["to"]) == (inside[0], inside[-1])
    assert window["width"] == pytest.approx(inside[-1] / inside[0])
    assert window["below"].startswith(
        "α = 0.9: 0 refused, 0 garbled, 30 normal; normal: “Sure, here is an answer"
    )
    refused, garbled = counts[6.0]
    assert window["above"].startswith(
        f"α = 6: {refused} refused, {garbled} garbled, 0 normal; garbled: “illegal illegal"
    )


def test_scale_over_one_model_at_two_sizes_sees_no_trend_and_shares_every_generation(
    models: Mapping[str, Model], four_prompts: Path, tmp_path: Path
) -> None:
    sizes = [{"name": name, "parameters": size} for name, size in (("again", 2), ("planted", 1))]
    asked = settings(
        "scale",
        models=sizes,
        prompts=four_prompts,
        depths=(0.5,),
        doses=(0.9, 3.0),
        raw_dose=3.0,
        relative_dose=0.5,
    )
    result = run_study(asked, store=tmp_path / "scale.db", models=models)
    assert [one.outcome for one in result.conclusions if not one.id] == [Outcome.UNDECIDED] * 3
    assert [row["exact"] for row in rows(result, "trend")] == [1, 1, 1]
    assert [row["difference"].value for row in rows(result, "pairs")] == [0, 0, 0]
    assert [row["model"] for row in rows(result, "sizes")] == ["planted", "again"] * 3
    # The control with its ten contrast prompts; two doses and a random vector at the best of them, which is α = 3 and
    # so done; 0.5 × R with its own. The second size makes nothing.
    assert result.made_now == (4 + 10) + 2 * 4 + 4 + 2 * 4
    planned = sum(work.generations for work in find_experiment("scale").plan(asked))
    assert planned == 2 * ((4 * 4 + 10) + 2 * (3 * 4 + 10))


@pytest.mark.parametrize(
    ("changes", "equal"),
    [
        ({"depths": (0.5,), "doses": (3.0,)}, True),
        ({"depths": (0.3, 0.5), "doses": (-1.0, 3.0)}, True),
        ({"depths": (0.5,), "doses": None}, True),
        ({"depths": (0.5, 0.51), "doses": (3.0,)}, False),  # one block
        ({"methods": ("dim", "svd"), "depths": (0.5,), "doses": (3.0,)}, True),
        ({"methods": ("cosmic_official",), "depths": (0.5,), "doses": (3.0,)}, True),
        ({"methods": ("iti", "dim"), "depths": (0.1,), "doses": (3.0,)}, True),
    ],
    ids=str,
)
def test_a_plan_is_what_a_run_on_an_empty_store_makes_at_most(
    models: Mapping[str, Model], four_prompts: Path, tmp_path: Path, changes: dict[str, Any], equal: bool
) -> None:
    asked = settings("architecture", prompts=four_prompts, **{**changes, "max_new_tokens": 2})
    planned = sum(work.generations for work in find_experiment("architecture").plan(asked))
    made = run_study(asked, store=tmp_path / "steergauge.db", models=models).made_now
    assert made == planned if equal else made < planned


def test_the_bench_measures_once_and_refuses_a_label_for_two_gauges(
    models: Mapping[str, Model], store_path: Path
) -> None:
    asked = settings("depth", depths=(0.2, 0.5, 0.9), doses=(3.2,))
    with Store(store_path) as store:
        bench, model = Bench(store, models=models), StudiedModel(name="planted")
        first = bench.gauge("first", model, asked.gauge_settings(model))
        assert bench.gauge("second", model, asked.gauge_settings(model)) is first
        assert list(bench.gauges) == ["first", "second"]
        with pytest.raises(ValueError, match="two gauges of a study have the label 'first'"):
            bench.gauge("first", model, asked.gauge_settings(model, seed=1))


@pytest.mark.parametrize(("engine", "devices"), [("vllm", 1), ("auto", 2)])
@pytest.mark.parametrize("name", ["sampling", "tooling"])
def test_a_study_that_torch_alone_can_run_refuses_another_engine_before_it_measures(
    name: str, engine: str, devices: int, store_path: Path
) -> None:
    with pytest.raises(SteergaugeError, match=r"this study .*, which vllm does not: use --engine torch"):
        run_study(read_study(name), store=store_path, engine=engine, tensor_parallel=devices)


def test_a_studys_gauges_run_in_the_engine_that_was_asked_for(
    models: Mapping[str, Model], store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_engine, "is_installed", lambda: False)
    with pytest.raises(SteergaugeError, match="the engine vllm is not installed"):
        run_study(settings("depth", doses=(3.2,)), store=store_path, models=models, engine="vllm")


def test_a_model_of_the_bench_is_given_by_its_label_and_else_loaded_one_at_a_time(
    models: Mapping[str, Model], phantom: Phantom, store_path: Path
) -> None:
    with Store(store_path) as store:
        bench = Bench(store, device="cpu", models=models)
        assert bench.model(StudiedModel(name="planted")) is models["planted"]
        loaded = bench.model(StudiedModel(name=str(phantom.folder), precision="float32"))
        assert bench.model(StudiedModel(name=str(phantom.folder), precision="float32")) is loaded
        other = bench.model(StudiedModel(name=str(phantom.folder), precision="bfloat16"))
        assert (loaded.precision, other.precision) == ("float32", "bfloat16")


def test_a_tables_frame_has_a_column_for_each_number_also_where_nothing_was_measured(
    by_depth: StudyResult,
) -> None:
    depths, best = (table.to_pandas() for table in by_depth.tables)
    row = rows(by_depth, "depths")[1]
    assert depths["refusal"].tolist()[1] == row["refusal"].rate
    assert depths["refusal_low"].tolist()[1] == row["refusal"].low
    assert depths["refusal_n"].tolist() == [30] * 3
    empty = by_depth.tables[1].model_copy(update={"rows": ()})
    assert list(empty.to_pandas().columns) == ["model", "best", "refusal", "held_out", "certainty", "set"]
    assert best["held_out_count"].tolist() == [15]


def test_a_result_comes_back_from_its_json_without_the_outputs(by_depth: StudyResult) -> None:
    again = StudyResult.model_validate_json(by_depth.to_json())
    assert again.tables == by_depth.tables
    assert again.figures == by_depth.figures
    assert isinstance(again.tables[0].rows[0]["refusal"], Rate)
    assert not isinstance(again.tables[0].rows[0]["refusal"], Estimate)
    assert all(not gauge.generations for gauge in again.gauges.values())
