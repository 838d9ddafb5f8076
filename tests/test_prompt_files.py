import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steergauge.errors import SteergaugeError
from steergauge.prompts import (
    ContrastSet,
    EvaluationPrompt,
    EvaluationSet,
    load_contrast_set,
    load_evaluation_set,
)


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


CONTRAST = {
    "set.csv": 'positive,negative\n"bad, really",good\nböse,"two\nlines"\n',
    "SET.CSV": '\ufeffnegative,positive\r\ngood,"bad, really"\r\n"two\nlines",böse\r\n',
    "set.jsonl": '{"positive": "bad, really", "negative": "good"}\n\n{"negative": "two\\nlines", "positive": "böse"}',
}


@pytest.mark.parametrize("name", CONTRAST)
def test_rows_give_the_contrast_set_that_they_hold_named_as_the_file(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, CONTRAST[name])
    assert load_contrast_set(path) == ContrastSet(
        name=path.stem, source=name, positive=("bad, really", "böse"), negative=("good", "two\nlines")
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("set.csv", "prompt,category\na,\n\nb,c\n"),
        ("set.jsonl", '{"prompt": "a"}\n{"prompt": "b", "category": "c"}\n'),
    ],
)
def test_rows_give_the_evaluation_set_that_they_hold(tmp_path: Path, name: str, text: str) -> None:
    assert load_evaluation_set(written(tmp_path, name, text)) == EvaluationSet(
        name="set",
        source=name,
        prompts=(EvaluationPrompt(text="a"), EvaluationPrompt(text="b", category="c")),
    )


def test_an_evaluation_set_needs_no_categories(tmp_path: Path) -> None:
    found = load_evaluation_set(written(tmp_path, "set.csv", "prompt\na\n"))
    assert found.prompts == (EvaluationPrompt(text="a"),)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("set.csv", "positive,negative\na,b\n,c\n,d\n"),
        (
            "set.jsonl",
            '{"positive": "a", "negative": "b"}\n{"negative": "c"}\n{"negative": "d", "positive": ""}',
        ),
    ],
)
def test_the_last_rows_may_leave_a_column_empty(tmp_path: Path, name: str, text: str) -> None:
    found = load_contrast_set(written(tmp_path, name, text))
    assert (found.positive, found.negative) == (("a",), ("b", "c", "d"))


def test_a_space_after_a_comma_is_no_part_of_the_prompt(tmp_path: Path) -> None:
    found = load_contrast_set(written(tmp_path, "set.csv", 'positive, negative\na, "b, c"\nd," e"\n'))
    assert (found.positive, found.negative) == (("a", "d"), ("b, c", " e"))


@pytest.mark.parametrize(
    ("name", "text", "line", "message"),
    [
        ("set.csv", "", 1, "the file is empty; its first line names the columns positive and negative"),
        ("set.csv", "positive,negative\n", 1, "no positive prompt"),
        ("set.csv", "positive,negative\na,\n", 1, "no negative prompt"),
        (
            "set.csv",
            "positive,harmless\na,b\n",
            1,
            "columns are positive, harmless; they must be positive and",
        ),
        ("set.csv", "positive\na\n", 1, "the columns are positive;"),
        ("set.csv", "positive,negative,negative\na,b,c\n", 1, "they must be positive and negative"),
        ("set.csv", "positive,negative\na,b\nc, d, e\n", 3, "3 cells where the header has 2"),
        ("set.csv", 'positive,negative\n"a\nb",c\n\nd\n', 5, "1 cells where the header has 2"),
        ("set.csv", 'positive,negative\na,b\n"c,d\n', 3, "not valid CSV"),
        ("set.csv", "positive,negative\na,b\n , \n", 3, "neither a positive nor a negative prompt"),
        ("set.csv", "positive,negative\na,b\n,c\nd,e\n", 4, "positive prompt after line 3, which has none"),
        ("set.csv", "positive,negative\na,b\nc,a\n", 3, "'a' stands at line 2 already"),
        ("set.csv", "positive,negative\na,a\n", 2, "'a' stands at line 2 already"),
        ("set.jsonl", "", 1, "no positive prompt"),
        ("set.jsonl", '{"positive": "a", "negative": "b"}\n{"positive": }', 2, "not valid JSON"),
        ("set.jsonl", '\n["a", "b"]', 2, "not a JSON object with positive and negative"),
        ("set.jsonl", '{"positive": "a", "harmless": "b"}', 1, "unknown key 'harmless'"),
        ("set.jsonl", '{"positive": "a", "negative": 5}', 1, "negative must be text, not 5"),
        ("set.jsonl", '{"positive": "a", "negative": null}', 1, "negative must be text, not null"),
        ("set.jsonl", '{"positive": "a", "negative": "\\ud800"}', 1, "negative must be text"),
        (
            "set.jsonl",
            '{"positive": "a", "negative": "b"}\n{"positive": "b"}',
            2,
            "'b' stands at line 1 already",
        ),
        ("set.jsonl", '{"positive": "a", "negative": "b"}\n{}', 2, "neither a positive nor a negative"),
    ],
)
def test_what_is_wrong_with_a_contrast_set_is_one_line_with_file_and_line(
    tmp_path: Path, name: str, text: str, line: int, message: str
) -> None:
    path = written(tmp_path, name, text)
    with pytest.raises(SteergaugeError) as refusal:
        load_contrast_set(path)
    assert str(refusal.value).startswith(f"{path}, line {line}: ")
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "text", "line", "message"),
    [
        ("set.csv", "prompt,category\n", 1, "the file has no prompt"),
        ("set.csv", "text,category\na,b\n", 1, "they must be prompt, and if wanted category"),
        ("set.csv", "prompt,category\na,b\n ,c\n", 3, "a prompt must not be blank"),
        ("set.csv", "prompt,category\na,b\na,c\n", 3, "'a' stands at line 2 already; a repeat under greedy"),
        ("set.jsonl", '{"prompt": "a"}\n{"category": "c"}', 2, "a prompt must not be blank"),
        ("set.jsonl", '{"prompt": "a"}\n{"text": "b"}', 2, "unknown key 'text'"),
    ],
)
def test_what_is_wrong_with_an_evaluation_set_is_one_line_with_file_and_line(
    tmp_path: Path, name: str, text: str, line: int, message: str
) -> None:
    path = written(tmp_path, name, text)
    with pytest.raises(SteergaugeError) as refusal:
        load_evaluation_set(path)
    assert str(refusal.value).startswith(f"{path}, line {line}: ")
    assert message in str(refusal.value)


@pytest.mark.parametrize("name", ["set.csv", "set.jsonl"])
def test_rows_in_another_encoding_or_not_there_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(SteergaugeError, match="No such file"):
        load_contrast_set(path)
    path.write_bytes('positive,negative\n"böse",b\n'.encode("latin-1"))
    with pytest.raises(SteergaugeError, match="not UTF-8 text, first at line 2"):
        load_contrast_set(path)


prompts = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: bool(text.strip()))


@given(st.lists(prompts, min_size=1, max_size=6, unique=True))
def test_every_text_that_json_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    path = tmp_path_factory.mktemp("prompts") / "set.jsonl"
    path.write_text(
        "".join(json.dumps({"prompt": text}, ensure_ascii=False) + "\n" for text in texts), "utf-8"
    )
    assert [prompt.text for prompt in load_evaluation_set(path).prompts] == texts
