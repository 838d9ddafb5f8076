import math

import pandas as pd
import pytest

from steergauge.judging.gold import GoldItem, Part
from steergauge.judging.label import Judgement, Label
from steergauge.store import Kept, Rating
from steergauge.studies.agreement import corrected_rates, disagreement_table, score_judges, store_agreement

R, G, N = Label.REFUSAL, Label.GARBLED, Label.NORMAL


class Reader:
    """Labels a text by its first letter."""

    name, version = "reader", "1"

    def judge(self, text: str) -> Judgement:
        return Judgement({"r": R, "g": G}.get(text[0], N), "first letter")


TEXTS = {"1": "r", "2": "r", "3": "g", "4": "n", "5": "n", "6": "r but normal"}
JUDGES = {"reader": Reader()}


def rating(key: str, label: Label, rater: str = "anna", showing: int = 1) -> Rating:
    return Rating(key, rater, showing, label, "")


ANNA = [rating("1", R), rating("2", R), rating("3", G), rating("4", N), rating("5", N), rating("6", N)]


def test_a_judge_is_scored_against_the_gold_labels() -> None:
    items = [
        GoldItem(id=key, part=Part.TEST, source="constructed", label=one.label, text=TEXTS[key])
        for key, one in zip(TEXTS, ANNA, strict=True)
    ]
    score = score_judges(items, JUDGES)["reader"]
    assert score.confusion["normal"] == {"refusal": 1, "garbled": 0, "normal": 2}
    assert score.classes["refusal"].precision.value == pytest.approx(2 / 3)
    assert score.classes["refusal"].recall.value == 1.0


def test_a_judge_is_compared_with_what_most_people_say() -> None:
    ben = [rating("1", R, "ben"), rating("6", R, "ben"), rating("4", G, "ben")]
    cleo = [rating("6", N, "cleo"), rating("4", R, "cleo")]
    found = store_agreement([*ANNA, *ben, *cleo], TEXTS, JUDGES)
    assert found.judges["reader"].n == 5  # all but 4, which everyone reads otherwise
    assert found.judges["reader"].confusion["normal"] == {"refusal": 1, "garbled": 0, "normal": 1}
    assert set(found.between) == {("anna", "ben"), ("anna", "cleo"), ("ben", "cleo")}
    assert found.between["anna", "ben"].n == 3
    assert [one.key for one in found.disagreements] == ["4", "6"]
    assert found.disagreements[0].labels == {"anna": N, "ben": G, "cleo": R, "reader": N}


def test_the_last_word_counts_and_the_second_showing_measures_steadiness_alone() -> None:
    again = [rating("1", N), rating("1", R), rating("1", R, showing=2), rating("2", G, showing=2)]
    found = store_agreement([*ANNA, *again], TEXTS, JUDGES)
    assert found.steadiness["anna"].n == 2
    assert found.steadiness["anna"].accuracy.value == 0.5
    assert found.judges["reader"].confusion["refusal"]["refusal"] == 2
    assert found.between == {}
    assert math.isnan(found.alpha.value)


def test_a_conditions_rate_is_corrected_for_the_judges_error() -> None:
    measured = store_agreement(ANNA, TEXTS, JUDGES).judges
    generations = {
        str(key): Kept("a" if key < 4 else "b", str(key), "r" if key % 2 else "n", "stop") for key in range(8)
    }
    first, second = corrected_rates(generations, measured, JUDGES)
    assert (first.condition, first.refusals, first.n) == ("a", 2, 4)
    # Sensitivity 2/2, specificity 3/4: (1/2 + 3/4 − 1) / (1 + 3/4 − 1).
    assert first.corrected.value == pytest.approx(1 / 3)
    assert second.condition == "b"


def test_samples_of_a_prompt_are_one_observation_in_a_conditions_rate() -> None:
    measured = store_agreement(ANNA, TEXTS, JUDGES).judges
    alone = {prompt: Kept("a", prompt, text, "stop") for prompt, text in {"p": "r", "q": "n"}.items()}
    repeated = {f"{prompt} {sample}": one for prompt, one in alone.items() for sample in range(5)}
    assert corrected_rates(repeated, measured, JUDGES) == corrected_rates(alone, measured, JUDGES)
    half = alone | {"p again": Kept("a", "p", "n", "stop")}
    (mixed,) = corrected_rates(half, measured, JUDGES)
    assert (mixed.refusals, mixed.n) == (0.5, 2)


def test_an_error_that_was_not_measured_corrects_nothing() -> None:
    measured = store_agreement([rating("4", N)], TEXTS, JUDGES).judges
    (only,) = corrected_rates({"x": Kept("a", "p", "r", "stop")}, measured, JUDGES)
    assert (only.refusals, only.n) == (1, 1)
    assert math.isnan(only.corrected.value)


def test_disagreements_are_a_table_with_a_column_a_reader() -> None:
    found = store_agreement(ANNA, TEXTS, JUDGES)
    table = disagreement_table(
        found.disagreements, {key: Kept("c", "p", text, "stop") for key, text in TEXTS.items()}
    )
    assert table.equals(
        pd.DataFrame([{"key": "6", "prompt": "p", "text": TEXTS["6"], "anna": "normal", "reader": "refusal"}])
    )
