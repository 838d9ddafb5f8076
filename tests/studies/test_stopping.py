"""Outputs that end early: the same labels, the same texts as far as they go, and never taken for full ones."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steergauge.judging.gauge import GaugeJudge
from steergauge.judging.label import Judge, Judgement, Label
from steergauge.judging.study import StudyJudge
from steergauge.models.loading import Model
from steergauge.steering.engine import Decoding, Generation, Request, StopRule
from steergauge.steering.steering import Steering
from steergauge.store import Store
from steergauge.studies.gauge import gauge
from steergauge.studies.result import GaugeResult
from steergauge.studies.run import Made, Runner, Silent
from steergauge.studies.settings import GaugeSettings
from steergauge.studies.stopping import stop_rule
from steergauge.studies.study_settings import StudiedModel, StudySettings


def run(model: Model, path: Path, **changed: Any) -> GaugeResult:
    settings = GaugeSettings(
        **{"depths": (0.5,), "doses": (8.0,), "max_new_tokens": 40, "random_directions": 1} | changed
    )
    return gauge(model, settings, store=path)


@pytest.mark.parametrize("judge", ["study", "gauge"])
def test_a_gauge_labels_and_concludes_the_same_with_and_without_ending_early(
    judge: str, phantom_model: Model, tmp_path: Path
) -> None:
    short = run(phantom_model, tmp_path / "short.db", judge=judge)
    full = run(phantom_model, tmp_path / "full.db", judge=judge, full=True)
    assert short.conditions == full.conditions
    assert short.verdict == full.verdict
    ended = 0
    for one, whole in zip(short.generations, full.generations, strict=True):
        assert (one.label, one.prompt) == (whole.label, whole.prompt)
        assert whole.text.startswith(one.text)
        if one.finish == "decided":
            ended += 1
            assert one.tokens < whole.tokens
            assert one.key != whole.key
        else:
            assert (one.text, one.key, one.finish) == (whole.text, whole.key, whole.finish)
    assert ended >= 30
    assert short.provenance.tokens < full.provenance.tokens
    assert f"ends early: label decided 1, by {judge}" in short.protocol.decoding
    assert "early" not in full.protocol.decoding


def test_full_outputs_in_the_store_serve_a_gauge_that_would_end_them_early_and_not_the_reverse(
    phantom_model: Model, tmp_path: Path
) -> None:
    path = tmp_path / "one.db"
    first = run(phantom_model, path)
    full = run(phantom_model, path, full=True)
    again = run(phantom_model, path)
    assert "decided" in {one.finish for one in first.generations}
    assert "decided" not in {one.finish for one in [*full.generations, *again.generations]}
    assert again.generations == full.generations
    with Store(path) as store:
        conditions = {one.condition for one in store.generations().values() if one.finish == "decided"}
        assert conditions < {one.condition for one in store.generations().values() if one.finish != "decided"}


def test_outputs_are_full_where_surprise_is_measured_and_in_studies(
    phantom_model: Model, tmp_path: Path
) -> None:
    surprised = run(phantom_model, tmp_path / "one.db", surprise=True)
    assert "decided" not in {one.finish for one in surprised.generations}
    study = StudySettings(study="dose", models=(StudiedModel(name="qwen2.5-coder-0.5b"),))
    assert study.gauge_settings(study.models[0]).full


class ModelJudge:
    name, version = "model:mine", "1"

    def judge(self, text: str) -> Judgement:
        return Judgement(Label.NORMAL, text)


def test_a_judge_that_cannot_be_certain_has_no_rule(phantom_model: Model) -> None:
    assert stop_rule(ModelJudge(), phantom_model) is None


def test_nor_is_there_one_where_more_tokens_change_the_text_before(
    phantom_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phantom_model.tokenizer, "clean_up_tokenization_spaces", True)
    assert stop_rule(StudyJudge(), phantom_model) is None


@pytest.mark.parametrize("judge", [StudyJudge(), GaugeJudge()])
def test_a_rule_is_named_after_its_judge_and_that_judges_version(judge: Judge, phantom_model: Model) -> None:
    rule = stop_rule(judge, phantom_model)
    assert rule is not None
    assert rule.identity == f"label decided 1, by {judge.name} {judge.version}"


class Ending:
    """Ends the outputs of some prompts early if there is a rule, and has no more to say on the others."""

    name, version, wave_rows = "fake", "1", 8

    def __init__(self, *early: str) -> None:
        self.early = early
        self.made: list[str] = []

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Generation]]:
        for index, request in enumerate(requests):
            self.made.append(request.prompt)
            ends = request.decoding.stop is not None and request.prompt in self.early
            yield index, Generation("ab" if ends else "abab", (1, 2), "decided" if ends else "length")


def ask(model: Model, store: Store, engine: Ending, rule: str | None) -> list[Made]:
    stop = None if rule is None else StopRule(rule, lambda tokens, left: True)
    steering = Steering(np.ones(4, dtype=np.float32), np.ones(3), 0)
    requests = [Request(prompt, steering, Decoding(9, stop=stop)) for prompt in ("one", "two")]
    return Runner(model, engine, store, 8, Silent()).run("a stage", requests)


def test_what_no_rule_ended_is_made_once_for_all_rules_and_what_one_ended_once_for_each(
    phantom_model: Model, tmp_path: Path
) -> None:
    engine = Ending("one")
    with Store(tmp_path / "one.db") as store:
        by_a = ask(phantom_model, store, engine, "a")
        assert ask(phantom_model, store, engine, "a") == by_a
        by_b = ask(phantom_model, store, engine, "b")
        assert engine.made == ["one", "two", "one"]
        assert by_a[0].key != by_b[0].key
        assert by_a[1] == by_b[1]
        full = ask(phantom_model, store, engine, None)
        assert engine.made == ["one", "two", "one", "one"]
        assert [one.generation.text for one in full] == ["abab", "abab"]
        assert full[1] == by_a[1]
        assert ask(phantom_model, store, engine, "a") == full
        decodings = store.to_pandas()["decoding"]
    assert sorted('"stop":"a"' in one for one in decodings) == [False, False, False, True]
