"""What was read off a model is not read again, and makes no difference to what is measured."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steergauge.directions.direction import Direction
from steergauge.directions.extract import extract
from steergauge.directions.importing import ImportedDirection
from steergauge.directions.random import random_unit_vector
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.prompts import study_contrast_set, study_evaluation_set
from steergauge.store import Store
from steergauge.studies import readings as module
from steergauge.studies.bench import Bench
from steergauge.studies.gauge import gauge
from steergauge.studies.prepare import prepare
from steergauge.studies.readings import Readings
from steergauge.studies.run import Silent
from steergauge.studies.settings import GaugeSettings
from steergauge.studies.study_settings import StudiedModel

PROMPTS = [prompt.text for prompt in study_evaluation_set().prompts[:3]]


def settings(**changed: Any) -> GaugeSettings:
    given: dict[str, Any] = {
        "depths": (0.5,),
        "doses": (3.0,),
        "max_new_tokens": 4,
        "random_directions": 1,
        "methods": ("dim", "mass_mean_whitened"),
    }
    return GaugeSettings(**(given | changed))


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods that are applied from now on."""
    names: list[str] = []

    def counted(methods: list[str], *given: Any, **named: Any) -> Any:
        names.extend(methods)
        return extract(methods, *given, **named)

    monkeypatch.setattr(module, "extract", counted)
    return names


def test_a_gauge_finds_the_same_with_readings_of_earlier_ones_and_applies_each_method_once(
    phantom_model: Model, tmp_path: Path, applied: list[str]
) -> None:
    shared, store = Readings(), tmp_path / "steergauge.db"
    alone = gauge(phantom_model, settings(), store=store)
    assert applied == ["dim", "mass_mean_whitened"]
    first = gauge(phantom_model, settings(), store=store, readings=shared)
    second = gauge(
        phantom_model, settings(methods=("mass_mean_whitened", "dim", "caa")), store=store, readings=shared
    )
    third = gauge(phantom_model, settings(), store=store, readings=shared)
    assert applied == ["dim", "mass_mean_whitened"] * 2 + ["caa"]

    def told(result: Any) -> Mapping[str, Any]:
        return dict(result.model_dump(exclude={"provenance"}))

    assert told(alone) == told(first) == told(third)
    assert [one.method for one in second.directions] == ["mass_mean_whitened", "dim", "caa"]


def test_other_prompts_models_and_seeds_are_read_anew(
    phantom_model: Model, tmp_path: Path, applied: list[str]
) -> None:
    readings, contrast = Readings(), study_contrast_set()
    fewer = contrast.model_copy(update={"positive": contrast.positive[:3], "negative": contrast.negative[:3]})
    for contrast_set, seed in ((contrast, 0), (contrast, 0), (fewer, 0), (contrast, 1)):
        readings.extracted(["dim"], phantom_model, contrast_set, seed=seed)
    assert applied == ["dim"] * 3
    assert readings.contrast(phantom_model, contrast) is readings.contrast(phantom_model, contrast)
    assert len(readings.contrast(phantom_model, fewer).positive) == 3
    assert readings.baseline(phantom_model, PROMPTS) is readings.baseline(phantom_model, PROMPTS)
    assert len(readings.baseline(phantom_model, PROMPTS[:2]).streams) == 2


def given_direction(model: Model, seed: int) -> ImportedDirection:
    vector = random_unit_vector(model.blocks.width, seed).astype(np.float32)
    blocks = len(model.blocks)
    return ImportedDirection(
        Direction(
            method="drawn",
            vectors=np.tile(vector, (blocks, 1)),
            raw_norms=np.ones(blocks),
            site="block output",
            position=-1,
        ),
        "drawn at random",
    )


def test_a_given_direction_is_measured_under_its_name_and_another_s_name_is_refused(
    phantom_model: Model,
) -> None:
    one = given_direction(phantom_model, 0)
    prepared = prepare(phantom_model, settings(), Readings(), Silent(), {"mine": one})
    assert list(prepared.directions) == ["dim", "mass_mean_whitened", "mine"]
    assert prepared.imported == {"mine": one}
    assert [condition.method for condition in prepared.conditions] == ["dim", "mass_mean_whitened", "mine"]
    with pytest.raises(SteergaugeError, match="under the name 'dim'"):
        prepare(phantom_model, settings(), Readings(), Silent(), {"dim": one})


def test_a_bench_tells_gauges_with_other_given_directions_apart(phantom_model: Model, tmp_path: Path) -> None:
    model, one = StudiedModel(name="mine"), settings(methods=("dim",))
    with Store(tmp_path / "steergauge.db") as store:
        bench = Bench(store, models={"mine": phantom_model})
        first, same, other = (
            bench.gauge(label, model, one, {"drawn": given_direction(phantom_model, seed)})
            for label, seed in (("first", 0), ("same", 0), ("other", 1))
        )
        assert first is same
        assert bench.gauges == {"first": first, "same": first, "other": other}
        assert [one.digest for one in first.directions] != [one.digest for one in other.directions]
        assert bench.provenance()["made_now"] == len(store.to_pandas())
