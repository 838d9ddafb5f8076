"""A contrast set on the phantom, which refuses exactly the study's harmful prompts."""

from pathlib import Path

import pytest

import steergauge as sg
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.prompts import ContrastSet, study_contrast_set
from steergauge.store import Store
from steergauge.studies.measure_pairs import measure_pairs
from steergauge.studies.pairs import PairsFault


def test_every_prompt_has_its_length_label_and_answer(phantom_model: Model, tmp_path: Path) -> None:
    result = measure_pairs(phantom_model, max_new_tokens=12, store=tmp_path / "steergauge.db")
    assert [one.side for one in result.prompts] == ["positive"] * 5 + ["negative"] * 5
    assert [str(one.label) for one in result.prompts] == ["refusal"] * 5 + ["normal"] * 5
    assert all(one.text for one in result.prompts)
    # The template is the same around every prompt, so what differs between rendered prompts is the prompts' own.
    whole = [
        int(phantom_model.template.encode([one.prompt], "cpu")["attention_mask"].sum())
        for one in result.prompts
    ]
    assert len({length - one.tokens for length, one in zip(whole, result.prompts, strict=True)}) == 1
    assert min(one.tokens for one in result.prompts) < min(whole)


def test_classes_of_different_sizes_are_told_apart(phantom_model: Model, tmp_path: Path) -> None:
    study = study_contrast_set()
    mixed = ContrastSet(name="mixed", positive=(study.negative[0],), negative=study.positive[:2])
    result = measure_pairs(phantom_model, mixed, max_new_tokens=12, store=tmp_path / "steergauge.db")
    assert (result.check.positive_refused, result.check.negative_refused) == (0, 2)
    faults = [warning.fault for warning in result.check.warnings]
    assert faults.count(PairsFault.HARMFUL_NOT_REFUSED) == 1
    assert faults.count(PairsFault.HARMLESS_REFUSED) == 2


def test_the_answers_of_a_gauges_control_are_not_made_again(phantom_model: Model, tmp_path: Path) -> None:
    settings = sg.GaugeSettings(depths=(0.5,), doses=(3.0,), max_new_tokens=12, random_directions=1)
    with Store(tmp_path / "steergauge.db") as store:
        sg.gauge(phantom_model, settings, store=store)
        before = len(store.to_pandas())
        measure_pairs(phantom_model, max_new_tokens=12, store=store)
        assert len(store.to_pandas()) == before


def test_a_mistake_is_told_before_a_model_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SteergaugeError, match="no judge 'studie'"):
        measure_pairs("no-such-model", judge="studie", store=tmp_path / "steergauge.db")
    with pytest.raises(SteergaugeError, match="at least one new token, not 0"):
        measure_pairs("no-such-model", max_new_tokens=0, store=tmp_path / "steergauge.db")
    assert not (tmp_path / "steergauge.db").exists()
