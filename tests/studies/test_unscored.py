"""What a judge could not read: in no rate and no comparison, counted apart, and asked again."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import records
import torch
from records import PROMPTS

from fake_endpoint import Asked, Endpoint, Reply, says, serving
from steergauge.errors import SteergaugeError
from steergauge.judging.gold import GoldItem, Part
from steergauge.judging.label import Judgement, Label, Reading, Unscored
from steergauge.models.loading import Model
from steergauge.models.phantom import ANSWER_REPLY, GARBLED_WORD, REFUSAL_REPLY, Phantom
from steergauge.report.html import page
from steergauge.statistics.agreement import compare_readings
from steergauge.statistics.comparisons import PairedTable, compare_paired_counts
from steergauge.statistics.proportions import wilson_interval
from steergauge.steering.engine import Generation
from steergauge.store import Store
from steergauge.studies.agreement import score_judges
from steergauge.studies.analysis import Labels, answered, best_condition, compare, random_control, rate
from steergauge.studies.gauge import gauge
from steergauge.studies.measurements import Comparison
from steergauge.studies.pairs import PairsFault, check_pairs
from steergauge.studies.result import GaugeResult
from steergauge.studies.settings import GaugeSettings

BLOCK, DOSES = 3, (1.4, 3.0, 5.2)


def without(labels: Labels, prompts: Sequence[str]) -> Labels:
    return {**labels, **dict.fromkeys(prompts)}


def test_a_rate_is_of_the_scored_prompts_and_counts_the_others() -> None:
    labels = without(records.labels(PROMPTS, PROMPTS[:6]), PROMPTS[4:10])
    found = rate(labels, Label.REFUSAL)
    assert (found.count, found.n, found.unscored) == (4, 24, 6)
    assert (found.low, found.high) == wilson_interval(4, 24)
    half = rate(labels, Label.REFUSAL, PROMPTS[:5])
    assert (half.count, half.n, half.unscored) == (4, 4, 1)
    nothing = rate(labels, Label.REFUSAL, PROMPTS[4:10])
    assert (nothing.n, nothing.rate, nothing.low, nothing.high, nothing.unscored) == (0, None, 0, 1, 6)


def test_a_prompt_unscored_in_either_condition_is_no_pair() -> None:
    treated = without(records.labels(PROMPTS, PROMPTS[:9]), PROMPTS[:2])
    reference = without(records.labels(PROMPTS, PROMPTS[8:10]), PROMPTS[1:4])
    found = compare(treated, reference, PROMPTS)
    assert (found.n, found.unscored) == (26, 4)
    assert (found.gained, found.lost) == (4, 1)  # prompts 4 to 7, and 9
    by_hand = compare_paired_counts(PairedTable(both=1, gained=4, lost=1, neither=20))
    assert (found.difference, found.low, found.high, found.p_value) == by_hand[2:]


def test_where_no_pair_is_left_nothing_is_known() -> None:
    found = compare(dict.fromkeys(PROMPTS), records.labels(PROMPTS, ()), PROMPTS)
    assert found == Comparison(
        n=0, gained=0, lost=0, difference=0, low=-1, high=1, p_value=1, p_adjusted=None, unscored=30
    )


def test_a_prompt_whose_unsteered_output_is_unscored_takes_no_part_in_the_best() -> None:
    unsteered = without(records.labels(PROMPTS, PROMPTS[:2]), PROMPTS[2:5])
    assert answered(unsteered) == PROMPTS[5:]
    steered = without(records.labels(PROMPTS, PROMPTS), PROMPTS[5:9])
    best = best_condition([records.condition("it")], {"it": steered}, unsteered, seed=0)
    assert best
    assert {*best.choosing_prompts, *best.reporting_prompts} == set(PROMPTS[5:])
    assert (best.whole_set.count, best.whole_set.n, best.whole_set.unscored) == (21, 21, 4)
    assert best.against_unsteered.unscored == best.reported_on.unscored
    control = random_control(best, {1: without(steered, PROMPTS[9:11])}, {"it": steered}, unsteered)
    assert control.directions[0].effect.unscored == 6


def test_an_unscored_output_does_not_make_a_condition_the_best() -> None:
    labels: dict[str, Labels] = {
        "unscored": dict.fromkeys(PROMPTS),
        "few": records.labels(PROMPTS, PROMPTS[:20]),
    }
    conditions = [records.condition(name) for name in labels]
    best = best_condition(conditions, labels, records.labels(PROMPTS, ()), seed=0)
    assert best
    assert best.condition == "few"


def test_a_contrast_prompt_that_is_unscored_is_counted_and_blamed_for_nothing() -> None:
    from steergauge.prompts import study_contrast_set

    contrast = study_contrast_set()
    lengths = [10] * 5
    found = check_pairs(
        contrast, lengths, lengths, [None, *[Label.REFUSAL] * 4], [None, None, *[Label.NORMAL] * 3]
    )
    assert (found.unscored, found.positive_refused, found.negative_refused) == (3, 4, 0)
    faults = {warning.fault for warning in found.warnings}
    assert not faults & {PairsFault.HARMFUL_NOT_REFUSED, PairsFault.HARMLESS_REFUSED}


def test_agreement_is_of_the_scored_items_and_counts_the_others() -> None:
    truth, reading = ["a", "a", "b", "b", "b"], ["a", None, "b", "a", None]
    found = compare_readings(truth, reading, ["a", "b"])
    assert found == compare_readings(["a", "b", "b"], ["a", "b", "a"], ["a", "b"])._replace(unscored=2)
    with pytest.raises(ValueError, match="same items"):
        compare_readings(truth, [None] * 5, ["a", "b"])


class _Blind:
    name, version = "blind", "1"

    def judge(self, text: str) -> Reading:
        return Unscored("it is dark")


def test_a_judge_that_scores_nothing_has_no_score_and_says_why() -> None:
    items = [GoldItem(id="1", part=Part.TEST, source="constructed", label=Label.NORMAL, text="Paris.")]
    with pytest.raises(SteergaugeError, match="scored none of 1 outputs: it is dark"):
        score_judges(items, {"blind": _Blind()})


class _Counting:
    """A slow judge that cannot read "?" and fails at "!"."""

    name, version = "counting", "1"

    def __init__(self) -> None:
        self.read: list[str] = []

    def judge(self, text: str) -> Reading:
        return dict(self.judge_all([text]))[text]

    def judge_all(self, texts: Sequence[str]) -> Iterator[tuple[str, Reading]]:
        for text in reversed(texts):
            if text == "!":
                raise SteergaugeError("it broke")
            self.read.append(text)
            yield text, Unscored("?") if text == "?" else Judgement(Label.NORMAL, text)


def test_a_slow_judge_reads_each_text_once_and_again_only_what_it_could_not_score(tmp_path: Path) -> None:
    texts = {"k1": "one", "k2": "?", "k3": "one", "k4": "two"}
    with Store(tmp_path / "s.db") as store:
        _hold(store, texts)
        first, second = _Counting(), _Counting()
        found = store.label(first, texts)
        assert list(found) == list(texts)
        assert [found[key].label for key in texts] == [Label.NORMAL, None, Label.NORMAL, Label.NORMAL]
        assert sorted(first.read) == ["?", "one", "two"]
        assert store.label(second, texts) == found
        assert second.read == ["?"]
        kept = store.to_pandas().set_index("key")
        assert list(kept["label"]) == ["normal", "unscored", "normal", "normal"]
        assert kept["evidence"]["k2"] == "?"
        second.version = "2"
        store.label(second, texts)
        assert len(second.read) == 4


def test_when_a_slow_judge_breaks_what_it_had_read_is_kept(tmp_path: Path) -> None:
    texts = {f"k{number}": str(number) for number in range(250)} | {"k": "!"}
    with Store(tmp_path / "s.db") as store:
        _hold(store, texts)
        broken = _Counting()
        with pytest.raises(SteergaugeError, match="it broke"):
            store.label(broken, dict(reversed(texts.items())))
        again = _Counting()
        store.label(again, {key: text for key, text in texts.items() if text != "!"})
        assert len(again.read) == 50
        assert len(broken.read) == 250


def _hold(store: Store, texts: dict[str, str]) -> None:
    from steergauge.steering.engine import Decoding, Request
    from steergauge.steering.steering import unsteered
    from steergauge.store import Addressed, Setting

    request = Request("p", unsteered(2, 4), Decoding(3))
    made = [(Addressed(key, request, "p"), Generation(text, (1,), "stop")) for key, text in texts.items()]
    store.add(Setting("m", "e"), made)


# A whole gauge, whose judge stands at an endpoint and cannot read what is garbled.


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    def reply(asked: Asked) -> Reply:
        if GARBLED_WORD in asked.judged:
            return says("I'd rather not say")
        return says({REFUSAL_REPLY: "B", ANSWER_REPLY: "C"}.get(asked.judged, "?"))

    with serving(reply) as opened:
        yield opened


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("unscored") / "steergauge.db"


def run(model: Model, endpoint: Endpoint, store: Path, **changed: object) -> GaugeResult:
    torch.set_num_threads(1)
    settings = {"depths": (0.5,), "doses": DOSES, "max_new_tokens": 12, "judge": endpoint.judge} | changed
    return gauge(model, GaugeSettings.model_validate(settings), store=store)


@pytest.fixture(scope="module")
def result(phantom_model: Model, endpoint: Endpoint, store_path: Path) -> GaugeResult:
    return run(phantom_model, endpoint, store_path, surprise=True)


def test_a_gauges_rates_leave_out_what_its_judge_could_not_read(
    result: GaugeResult, phantom: Phantom
) -> None:
    garbled = [sum(dose > phantom.garbling_dose(prompt, BLOCK) for prompt in PROMPTS) for dose in DOSES]
    refused = [sum(dose > phantom.refusal_dose(prompt, BLOCK) for prompt in PROMPTS) for dose in DOSES]
    assert garbled[0] == garbled[1] == 0 < garbled[2] < 30
    for one, unscored, count in zip(result.conditions, garbled, refused, strict=True):
        assert (one.refusal.unscored, one.refusal.n) == (unscored, 30 - unscored)
        assert one.refusal.count == count - unscored
        assert one.garbled.count == 0
        assert (one.against_unsteered.n, one.against_unsteered.unscored) == (30 - unscored, unscored)


def test_a_gauge_says_how_many_and_by_whom(result: GaugeResult, endpoint: Endpoint) -> None:
    unscored = sum(one.refusal.unscored for one in result.conditions)
    assert any(f"could not read {unscored} of 120 outputs" in caution for caution in result.verdict.cautions)
    told = f"the judge {endpoint.judge}, which errs too (`steergauge judges --judge {endpoint.judge}` tells how much)"
    assert any(told in one for one in result.verdict.cautions)
    assert result.protocol.judge.startswith(f"{endpoint.judge} ")
    assert f'<span class="interval">{unscored} unscored</span>' in page(result)
    assert '"unscored","illegal' in page(result)


def test_what_is_unscored_has_no_label_and_its_evidence(result: GaugeResult, store_path: Path) -> None:
    table = result.generations_to_pandas()
    unscored = table[table["label"].isna()]
    assert set(unscored["evidence"]) == {'answered "I\'d rather not say"'}
    assert unscored["text"].str.startswith(GARBLED_WORD).all()
    with Store(store_path) as store:
        assert set(store.to_pandas()["label"]) == {"refusal", "normal", "unscored"}


def test_the_same_gauge_again_asks_only_about_what_is_unscored(
    result: GaugeResult, phantom_model: Model, endpoint: Endpoint, store_path: Path
) -> None:
    before = len(endpoint.asked)
    assert before < len(result.generations)  # equal outputs are asked about once a stage
    again = run(phantom_model, endpoint, store_path)
    assert {GARBLED_WORD in one.judged for one in endpoint.asked[before:]} == {True}
    assert again.conditions == result.conditions


def test_surprise_is_a_column_where_it_is_asked_for_and_none_else(
    result: GaugeResult, phantom_model: Model, endpoint: Endpoint, store_path: Path
) -> None:
    table = result.generations_to_pandas()
    assert table[["surprise", "surprise_window"]].notna().all(axis=None)
    said = table.groupby("condition")["surprise"].mean()
    assert said["unsteered"] < 0.1 < said["dim-block3-raw3"]
    assert said.idxmax() == "dim-block3-raw5.2"
    again = run(phantom_model, endpoint, store_path)
    assert not {"surprise", "surprise_window"} & set(again.generations_to_pandas().columns)
