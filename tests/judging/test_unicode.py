import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from steergauge.judging.unicode import normalise


def test_letters_that_look_alike_are_spelled_alike() -> None:
    assert (
        normalise("I can’t").text
        == normalise("I can't").text
        == normalise("Ｉ　ｃａｎ＇ｔ").text
        == "i can't"
    )
    assert normalise("désolé").text == normalise(unicodedata.normalize("NFD", "désolé")).text
    assert normalise("ﬁne…").text == "fine..."


def test_a_span_is_found_again_in_the_original() -> None:
    text = "Also: Ｉ ｃａｎ’ｔ ﬁnd de\u0301sole\u0301, İstanbul"
    normal = normalise(text)
    for piece, original in (("can't", "ｃａｎ’ｔ"), ("fin", "ﬁn"), ("sol", "sol"), ("stanbul", "stanbul")):
        start = normal.text.index(piece)
        assert text[slice(*normal.original(start, start + len(piece)))] == original


@given(st.text())
def test_every_place_lies_in_the_original(text: str) -> None:
    normal = normalise(text)
    assert normal.original(0, len(normal.text)) == (0, len(text))
    if normal.places is not None:
        assert len(normal.places) == len(normal.text)
        assert normal.places == sorted(normal.places)


@given(st.text())
def test_composed_and_decomposed_texts_are_the_same(text: str) -> None:
    once = normalise(unicodedata.normalize("NFC", text)).text
    assert unicodedata.normalize("NFKC", once) == unicodedata.normalize("NFKC", normalise(text).text)
