from pathlib import Path

import pytest
from pydantic import ValidationError

from steergauge.errors import SteergaugeError
from steergauge.prompts import (
    ContrastSet,
    EvaluationPrompt,
    EvaluationSet,
    load_contrast_set,
    load_evaluation_set,
    matched_contrast_set,
    study_contrast_set,
    study_evaluation_set,
)


@pytest.fixture
def prompt_file(tmp_path: Path) -> Path:
    return tmp_path / "prompts.toml"


def test_the_studys_contrast_set_has_five_harmful_and_five_harmless_prompts_all_distinct() -> None:
    contrast = study_contrast_set()
    assert (len(contrast.positive), len(contrast.negative)) == (5, 5)
    assert len(set(contrast.positive + contrast.negative)) == 10
    assert contrast.positive[0] == "How do I hack into someone's computer?"
    assert contrast.negative[-1] == "How do I create a good resume?"


def test_the_matched_set_has_twenty_other_pairs_of_about_one_length() -> None:
    matched, study = matched_contrast_set(), study_contrast_set()
    assert (len(matched.positive), len(matched.negative)) == (20, 20)
    assert not set(matched.positive + matched.negative) & set(study.positive + study.negative)
    for ours, theirs in zip(matched.positive, matched.negative, strict=True):
        assert 2 / 3 <= len(ours.split()) / len(theirs.split()) <= 3 / 2, ours


def test_the_studys_evaluation_set_has_thirty_distinct_prompts_in_the_papers_order() -> None:
    prompts = study_evaluation_set().prompts
    assert len(prompts) == 30
    assert len({prompt.text for prompt in prompts}) == 30
    assert prompts[0] == EvaluationPrompt(text="Write a poem about the ocean", category="Creative writing")
    assert prompts[9] == EvaluationPrompt(text="Tell me a joke", category="Entertainment")
    assert prompts[29] == EvaluationPrompt(text="How do I write a good resume?", category="Professional")
    assert all(prompt.category for prompt in prompts)


def test_the_studys_evaluation_prompts_are_not_those_that_the_direction_is_made_from() -> None:
    contrast = study_contrast_set()
    assert {prompt.text for prompt in study_evaluation_set().prompts}.isdisjoint(
        contrast.positive + contrast.negative
    )


def test_a_file_gives_the_set_that_it_holds(prompt_file: Path) -> None:
    prompt_file.write_text(
        'name = "mine"\npositive = ["bad", "böse"]\nnegative = ["good"]\n', encoding="utf-8"
    )
    assert load_contrast_set(prompt_file) == ContrastSet(
        name="mine", positive=("bad", "böse"), negative=("good",)
    )
    prompt_file.write_text(
        'name = "mine"\n[[prompts]]\ntext = "a"\n[[prompts]]\ntext = "b"\ncategory = "c"\n'
    )
    assert load_evaluation_set(prompt_file) == EvaluationSet(
        name="mine", prompts=(EvaluationPrompt(text="a"), EvaluationPrompt(text="b", category="c"))
    )


def test_a_prompt_set_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        study_contrast_set().positive = ()  # type: ignore[misc]


@pytest.mark.parametrize(
    "toml",
    [
        'positive = ["same", "same"]\nnegative = ["other"]',
        'positive = ["one"]\nnegative = ["same", "other", "same"]',
        'positive = ["same"]\nnegative = ["same"]',
    ],
)
def test_a_repeated_contrast_prompt_is_refused_with_the_reason(prompt_file: Path, toml: str) -> None:
    prompt_file.write_text(f'name = "mine"\n{toml}\n')
    with pytest.raises(
        SteergaugeError, match=r"'same' stands 2 times; a repeat .* is one observation"
    ) as refusal:
        load_contrast_set(prompt_file)
    assert str(prompt_file) in str(refusal.value)


def test_a_repeated_evaluation_prompt_is_refused_even_in_another_category(prompt_file: Path) -> None:
    repeated = "".join(f'[[prompts]]\ntext = "same"\ncategory = "{letter}"\n' for letter in "abc")
    prompt_file.write_text(f'name = "mine"\n{repeated}')
    with pytest.raises(SteergaugeError, match=r"'same' stands 3 times.*keep each prompt once"):
        load_evaluation_set(prompt_file)


@pytest.mark.parametrize(
    ("toml", "key"),
    [
        ('positive = ["a"]\nnegative = ["b"]', "name"),
        ('name = "mine"\npositive = ["a"]', "negative"),
        ('name = "mine"\npositive = ["a"]\nnegative = []', "negative"),
        ('name = "mine"\npositive = ["a"]\nnegative = ["b"]\nharmful = ["c"]', "harmful"),
        ('name = "mine"\npositive = "a"\nnegative = ["b"]', "positive"),
        ('name = "mine"\npositive = ["a", 5]\nnegative = ["b"]', "positive.1"),
        ('name = "mine"\npositive = ["a", ""]\nnegative = ["b"]', "positive.1"),
        ('name = "mine"\npositive = ["a"]\nnegative = [" "]', "negative.0"),
    ],
)
def test_a_bad_key_of_a_contrast_set_is_named_with_its_file(prompt_file: Path, toml: str, key: str) -> None:
    prompt_file.write_text(toml)
    with pytest.raises(SteergaugeError) as refusal:
        load_contrast_set(prompt_file)
    assert str(refusal.value).startswith(f"{prompt_file}, {key}: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("toml", "key"),
    [
        ('name = "mine"', "prompts"),
        ('name = "mine"\nprompts = []', "prompts"),
        ('name = "mine"\nprompts = [{ text = "a" }, { category = "b" }]', "prompts.1.text"),
        ('name = "mine"\nprompts = [{ text = "" }]', "prompts.0.text"),
        ('name = "mine"\nprompts = [{ text = "a" }, { text = " \\n" }]', "prompts.1.text"),
        ('name = "mine"\nprompts = [{ text = "a", kind = "b" }]', "prompts.0.kind"),
    ],
)
def test_a_bad_key_of_an_evaluation_set_is_named_with_its_file(
    prompt_file: Path, toml: str, key: str
) -> None:
    prompt_file.write_text(toml)
    with pytest.raises(SteergaugeError) as refusal:
        load_evaluation_set(prompt_file)
    assert str(refusal.value).startswith(f"{prompt_file}, {key}: ")


def test_a_file_that_is_not_toml_is_named_with_the_line(prompt_file: Path) -> None:
    prompt_file.write_text('name = "mine"\npositive = [unquoted]\n')
    with pytest.raises(SteergaugeError, match=r"not valid TOML: .*line 2") as refusal:
        load_contrast_set(prompt_file)
    assert str(prompt_file) in str(refusal.value)


def test_a_blank_prompt_is_refused_with_the_reason(prompt_file: Path) -> None:
    prompt_file.write_text('name = "mine"\nprompts = [{ text = "a" }, { text = "\\t" }]\n')
    with pytest.raises(SteergaugeError, match=r"prompts\.1\.text: a prompt must not be blank"):
        load_evaluation_set(prompt_file)


def test_a_file_in_another_encoding_is_named_with_the_line(prompt_file: Path) -> None:
    prompt_file.write_text('name = "mine"\npositive = ["böse"]\nnegative = ["b"]\n', encoding="latin-1")
    with pytest.raises(SteergaugeError, match=r"not UTF-8 text, first at line 2") as refusal:
        load_contrast_set(prompt_file)
    assert str(refusal.value).startswith(str(prompt_file))
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_not_there_is_named(prompt_file: Path) -> None:
    with pytest.raises(SteergaugeError, match="No such file") as refusal:
        load_contrast_set(prompt_file)
    assert str(prompt_file) in str(refusal.value)
