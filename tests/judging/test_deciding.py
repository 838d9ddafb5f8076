"""What a judge says of a beginning holds for every text that begins so."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from steergauge.judging.gauge import GaugeJudge
from steergauge.judging.gold import gold_set
from steergauge.judging.judges import JUDGES
from steergauge.judging.label import DecidingJudge, Label
from steergauge.judging.study import StudyJudge
from steergauge.judging.words import most_numbers, numbers, read_words

WORDS = [
    "no",
    "No",
    "the",
    "cat",
    "ΑΣ",
    "İs",
    "sorry",
    "illegal",
    "1",
    "22",
    "x2",
    "don't",
    "的",
    "กข",
    "мир",
    "שלום",
]
SEPARATORS = [" ", "\n", ", ", " , ", '" ', "", "\n2. ", "\n1. ", "\t", "…", "’", "-"]
# What may follow: it ends words, goes on with them, counts lines, draws matrices, and says anything else.
FOLLOWING = [
    *WORDS,
    *SEPARATORS,
    "3 ",
    "7\n",
    "٣ ",
    "๑",
    "s",
    "ing ",
    ". ",
    "I cannot help.",
    '" " "',
    "        ",
    "\u0301",
]


@st.composite
def beginnings(draw: st.DrawFn) -> str:
    """A phrase again and again, with something before it, cut anywhere."""
    words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5)
    separators = st.sampled_from(SEPARATORS)
    before = draw(separators).join(draw(st.lists(st.sampled_from(WORDS), max_size=8)))
    phrase = draw(separators).join(draw(words)) + draw(separators)
    text = before + draw(separators) + phrase * draw(st.integers(3, 20))
    return text[: draw(st.integers(len(text) // 2, len(text)))]


following = st.lists(st.sampled_from(FOLLOWING), max_size=40).map("".join) | st.text(max_size=40)


@pytest.mark.parametrize("judge", [StudyJudge(), GaugeJudge()], ids=lambda judge: judge.name)
@settings(max_examples=150)
@given(beginnings(), following)
def test_a_label_that_is_decided_stays_whatever_follows(
    judge: StudyJudge | GaugeJudge, beginning: str, rest: str
) -> None:
    most = sum(map(str.isdecimal, rest))  # at least as many as there are words of digits alone
    label = judge.decided(beginning, most)
    assume(label is not None)
    assert judge.judge(beginning + rest).label is label


@pytest.mark.parametrize("judge", [StudyJudge(), GaugeJudge()], ids=lambda judge: judge.name)
def test_what_is_decided_of_any_beginning_of_a_gold_text_is_the_label_of_the_whole(
    judge: StudyJudge | GaugeJudge,
) -> None:
    decided = 0
    for text in (item.text for item in gold_set()):
        for end in range(0, len(text), 15):
            label = judge.decided(text[:end], numbers(read_words(text).words))
            if label is not None:
                decided += 1
                assert judge.judge(text).label is label
                break
    assert decided > 30


@pytest.mark.parametrize(
    "text",
    [
        "no no no no no ",
        "I cannot. I cannot. I cannot. No",
        "Sure! aaaaaaaa",
    ],
)
def test_the_studys_rule_is_certain_of_repetitions_whose_words_are_whole(text: str) -> None:
    assert StudyJudge().decided(text, 0) is Label.GARBLED


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("it no no no no", "thing"),  # the word goes on
        ("I may go I may go I may go", "od at this"),
        ("no! no. no? no; or", " perhaps we could all the same"),  # its share falls
        ("!!!! ???? !! ?", "What do you mean by all these signs?"),
        ("I cannot help with that", "        "),  # a refusal becomes garbled
    ],
)
def test_the_studys_rule_is_uncertain_of_what_more_text_undoes(text: str, rest: str) -> None:
    judge = StudyJudge()
    assert judge.judge(text).label is not judge.judge(text + rest).label
    assert judge.decided(text, 0) is None


@pytest.mark.parametrize(
    "text",
    [
        "back and forth " * 12,
        "Certainly: " + "天气" * 15,
        "so " + '" ' * 10,
        "добрыйday мирworld приветhello мир",
    ],
)
def test_the_gauges_rule_is_certain_of_loops_lone_signs_and_mixed_scripts(text: str) -> None:
    assert GaugeJudge().decided(text, 0) is Label.GARBLED


def test_a_loop_is_certain_while_numbers_cannot_become_half_of_its_words() -> None:
    judge = GaugeJudge()
    text = "back and forth " * 12  # 36 words, of which the last may go on
    assert judge.decided(text, 33) is Label.GARBLED
    assert judge.decided(text, 34) is None
    matrix = text + "1 0 " * 18
    assert judge.judge(text).label is Label.GARBLED
    assert judge.judge(matrix).label is Label.NORMAL


def test_a_loop_of_counted_lines_is_uncertain_until_the_second_is_counted() -> None:
    judge = GaugeJudge()
    first = "\n".join(["1. of"] * 15)  # the numbers are words, and half of them, until a line has number 2
    assert judge.decided(first, 0) is None
    assert judge.decided(first + "\n2. of", 0) is Label.GARBLED


def test_every_judge_without_a_model_can_decide() -> None:
    assert all(isinstance(judge, DecidingJudge) for judge in JUDGES.values())


@pytest.mark.parametrize(
    ("token", "most"),
    [
        ("", 0),
        ("the", 0),
        ("1", 1),
        ("123", 1),
        (" 12 7", 2),
        ("<h1>", 0),
        ("12.", 1),
        ("\ufffd", 1),
        ("๒๕", 2),
        ("[PAD151]", 0),
    ],
)
def test_how_many_numbers_a_token_may_add(token: str, most: int) -> None:
    assert most_numbers(["no number", token]) == most


@given(
    st.lists(st.sampled_from(["1", "2 3", ".", " ", "a", "๒", "9\n", "\n2", "4.", "的", "x 5"]), max_size=12)
)
def test_tokens_together_have_no_more_numbers_than_apart(tokens: list[str]) -> None:
    apart = sum(most_numbers([token]) for token in tokens)
    assert numbers(read_words("".join(tokens)).words) <= apart
