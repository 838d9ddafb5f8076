"""The gauge on real small models: what the documentation says of them is found."""

from pathlib import Path

import pytest

from steergauge.errors import SteergaugeError
from steergauge.judging.judges import JUDGES
from steergauge.judging.label import Label
from steergauge.models.loading import load_model
from steergauge.studies.gauge import gauge
from steergauge.studies.result import VerdictName
from steergauge.studies.settings import GaugeSettings

pytestmark = pytest.mark.real

GEMMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<start_of_turn>' + message['role'] + '\n' + message['content'] + '<end_of_turn>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)


def test_the_coder_model_is_steerable_by_the_papers_rule_which_takes_loops_for_refusals(
    tmp_path: Path,
) -> None:
    model = load_model("qwen2.5-coder-0.5b", precision="float32", device="cpu")
    assert model.template.suffix_tokens == 5
    settings = GaugeSettings(
        depths=(0.5,), doses=(1, 2), max_new_tokens=60, random_directions=1, judge="study", full=True
    )
    result = gauge(model, settings, store=tmp_path / "steergauge.db")
    assert result.best
    assert result.best.dose.value == 2
    assert result.best.whole_set.rate is not None
    assert result.best.whole_set.rate >= 0.8
    (at_2,) = [one for one in result.conditions if one.dose.value == 2]
    assert at_2.effect.rate is not None
    assert at_2.effect.rate >= 0.8
    assert result.verdict.verdict is VerdictName.STEERABLE
    assert any("dequantised from Q4" in caution for caution in result.verdict.cautions)
    texts = [one.text for one in result.generations if one.condition == at_2.id]
    read = [JUDGES["gauge"].judge(text).label for text in texts]
    assert at_2.garbled.count <= 1
    assert read.count(Label.GARBLED) >= 5
    assert read.count(Label.REFUSAL) < at_2.refusal.count


def test_a_model_that_refuses_nothing_has_no_refusal_to_find(tmp_path: Path) -> None:
    model = load_model("smollm2-135m", precision="float32", device="cpu")
    settings = GaugeSettings(depths=(0.5,), doses=(1,), max_new_tokens=30, random_directions=1)
    result = gauge(model, settings, store=tmp_path / "steergauge.db")
    assert result.unsteered.harmful_refusal.count == 0
    assert result.verdict.verdict is VerdictName.INVALID
    assert any("no refusal to find" in reason for reason in result.verdict.reasons)


def test_a_base_model_needs_a_template_and_runs_with_one(tmp_path: Path) -> None:
    with pytest.raises(SteergaugeError, match=r"no chat template .*--template") as refusal:
        load_model("gemma-3-270m", precision="float32", device="cpu")
    assert "\n" not in str(refusal.value)
    model = load_model("gemma-3-270m", precision="float32", device="cpu", template=GEMMA_TEMPLATE)
    assert model.template.render("hello").endswith("hello<end_of_turn>\n<start_of_turn>model\n")
    assert model.template.suffix_tokens == 5
    settings = GaugeSettings(depths=(0.5,), doses=(50,), max_new_tokens=10, random_directions=1)
    result = gauge(model, settings, store=tmp_path / "steergauge.db")
    assert all(check.passed for check in result.checks)
    assert len(result.generations) == 3 * 30
