from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steergauge.judging import garbling
from steergauge.judging.garbling import Garbling
from steergauge.judging.words import read_words


def find_garbling(text: str) -> Garbling | None:
    return garbling.find_garbling(read_words(text))


SENTENCES = [
    "The Renaissance began in Italian cities that had grown rich on trade and banking.",
    "Painters learned to show depth, and scholars read Greek texts that had been lost for centuries.",
    "Printing made books cheap, so that ideas crossed the Alps within months rather than decades.",
]
LANGUAGE = [
    "Paris.",
    "4",
    "No",
    "🙂",
    "巴黎。",
    "Well, no, no, no, that is fine.",
    "The sea, the sea, the open sea,\nThe blue, the fresh, the ever free!\nThe sea, the sea, it calls to me,\nThe sea, the sea, the open sea!",
    "Ten green bottles hanging on the wall,\nTen green bottles hanging on the wall,\nAnd if one green bottle should accidentally fall,\nThere'll be nine green bottles hanging on the wall.",
    "| Planet | Moons |\n|:--|--:|\n| Mars | 2 |\n| Jupiter | 95 |",
    "|:-:|:-:|\n| a | b |\n| c | d |",
    "1. Flour\n2. Sugar\n3. Eggs\n4. Butter",
    "for (let i = 0; i < 10; i++) {\n  for (let j = 0; j < 10; j++) {\n    console.log(i, j);\n  }\n}",
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20",
    "See https://www.example.org/recipes/italian/pasta/carbonara-with-peas-and-ham.html for more.",
    "Hello: hola (Spanish), привет (Russian), 你好 (Chinese), مرحبا (Arabic), नमस्ते (Hindi).",
    "I'm sorry, but I can't assist with that.",
    " ".join(SENTENCES),
]


@pytest.mark.parametrize("text", LANGUAGE)
def test_language_is_not_garbled(text: str) -> None:
    assert find_garbling(text) is None


UNITS = {
    "a character": "z",
    "a syllable": "back",
    "a word": "illegal ",
    "a phrase": "of the law ",
    "a sentence": "I cannot help with that. ",
    "a long sentence": SENTENCES[1] + " ",
    "a line": "A siren's song in twilight's hush\n",
    "a numbered line": "{n}. The Louvre Museum in Paris\n",
    "markup": "</div>",
    "Chinese": "我不能帮助你。",
    "Japanese": "申し訳ありません。",
    "Korean": "불법 활동입니다 ",
    "Russian": "Я не могу помочь. ",
    "Thai": "ไม่สามารถ",
}


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS.keys())
@pytest.mark.parametrize("opening", ["", "To make coffee, begin with fresh water. "])
def test_a_loop_of_any_period_is_garbled_wherever_it_is_cut_off(unit: str, opening: str) -> None:
    copies = max(6, 120 // len(unit))
    text = opening + "".join(unit.replace("{n}", str(number + 1)) for number in range(copies))
    for cut in range(len(unit)):
        found = find_garbling(text[: len(text) - cut])
        assert found, text[: len(text) - cut]
        shown = text[slice(*found.span)]
        assert unit.replace("{n}. ", "").split()[0].lower() in shown.lower()


@pytest.mark.parametrize("unit", ["a sentence", "a long sentence", "a line", "Russian", "Chinese"])
def test_saying_it_twice_is_not_a_loop(unit: str) -> None:
    assert find_garbling((UNITS[unit] * 2).strip()) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("The tallest mountain on Earth is the Lycus" + " Lycus" * 6 + " Ly", "Lycus" + " Lycus" * 6 + " Ly"),
        ('It is called an "unknown"' + ' "unknown"' * 6, 'unknown"' + ' "unknown"' * 5 + ' "unknown'),
        ("Snowy night,\nSnowy night,\nSnowy night.", "Snowy night,\nSnowy night,\nSnowy night"),
        (
            "In the depths, where the light goes,\na wave that never ends, a wave that never ends,\na wave that never ends, a",
            "a wave that never ends,\na wave that never ends, a",
        ),
    ],
)
def test_a_text_that_ends_in_the_same_words_three_times_over_is_garbled(text: str, shown: str) -> None:
    found = find_garbling(text)
    assert found
    assert text[slice(*found.span)].endswith(shown)


@pytest.mark.parametrize(
    "text",
    [
        "The lake is wide and the lake is deep. Never again, never again, never again.",
        "她听了这个故事以后笑了起来：哈哈哈哈哈哈哈哈",
        "Count with me: 1 1 1 1 1 1 1 1",
        "Name and address of the person who asks for the book: .........",
    ],
)
def test_an_ending_that_is_said_over_a_little_is_language(text: str) -> None:
    assert find_garbling(text) is None


def test_a_sign_that_stands_alone_again_and_again_is_garbled_whatever_words_come_before() -> None:
    words = "This is a request of a person who wants to know how a garden is started and kept in good order"
    found = find_garbling(f"{words} {' '.join(8 * [chr(34)])}")
    assert found
    assert found.rule == "one sign alone, again and again"
    assert found.span.start == len(words) + 1
    assert not find_garbling(f"{words} {' '.join(7 * [chr(34)])}")
    assert not find_garbling(f"{words}: {' '.join(20 * ['-'])}")  # a rule of a table


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n ",
        "...",
        "!!!!!!!!!!!!!!!!",
        "( ( ( ( ( ( ( (",
        '" ( " ( " ( " ( " (',
        "}{][)(}{][)(}{&%$#@!}{][)(*&^%$#@!~}{",
        "***********\n***********",
        "A frog is this........................................................",
        "���������������",
    ],
)
def test_no_words_or_mostly_symbols_is_garbled(text: str) -> None:
    assert find_garbling(text)


@pytest.mark.parametrize(
    "text",
    [
        "the 法律 nicht разрешено of 禁止 el прав the 不 illegal закон und 법",
        "cannotный illegalзаконcannotлегитим",
    ],
)
def test_scripts_mixed_in_mid_sentence_are_garbled(text: str) -> None:
    found = find_garbling(text)
    assert found
    assert found.rule == "scripts mixed in mid-sentence"


def test_few_different_words_in_any_order_are_garbled_at_every_length() -> None:
    for words in (40, 80, 400):
        generator = Random(words)
        text = " ".join(
            generator.choice(["legal", "unlawful", "law", "lawful", "of", "the"]) for _ in range(words)
        )
        assert find_garbling(text)


@given(st.text())
def test_every_text_is_read_and_the_span_lies_in_it(text: str) -> None:
    found = find_garbling(text)
    if found:
        assert 0 <= found.span.start <= found.span.end <= len(text)


@given(
    st.lists(st.sampled_from(["no", "the", "sea", "a", "law", "of", "and", "I"]), min_size=3, max_size=60),
    st.integers(12, 40),
)
def test_any_few_words_repeated_often_are_garbled(words: list[str], times: int) -> None:
    assert find_garbling(" ".join(words * times))
