"""A text as words, in lower case and without punctuation; characters are words where a script has no spaces."""

import re
import string
from collections.abc import Iterable
from typing import NamedTuple

_SIGNS = (
    string.punctuation.replace("'", "")
    + "\ufffd\u200b\u200e\u200f\ufeff，。、！？；：（）「」『』《》【】…—–“”„«»·।॥؟،؛"
)
# Each sign gives one character, so that places stay as they are.
_TO_SPACES = str.maketrans(dict.fromkeys(_SIGNS, " ") | dict.fromkeys("’‘", "'"))
_ASCII_SIGNS = "".join(filter(str.isascii, _SIGNS)).encode()
_ASCII_TO_SPACES = bytes.maketrans(_ASCII_SIGNS, b" " * len(_ASCII_SIGNS))  # a fast way for most texts
_NO_SPACES = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_HAS_NO_SPACES = re.compile(f"[{_NO_SPACES}]")
_WORD = re.compile(f"[{_NO_SPACES}]|[^\\s{_NO_SPACES}]+")
_LIST_MARKER = re.compile(r"^[ \t]*\d{1,3}[.)](?=\s)", re.MULTILINE)


class Words(NamedTuple):
    """A text, the same text with spaces for everything that is no word, and its words."""

    text: str
    spaced: str
    words: list[str]
    different: frozenset[str]

    def places(self, first: int, end: int) -> tuple[int, int]:
        """Where the words first … end − 1 stand in the text."""
        if self.spaced.isascii() or not _HAS_NO_SPACES.search(self.spaced):
            start = len(self.spaced) - len(self.spaced.split(None, first)[first])
            rest = self.spaced.split(None, end)[end] if end < len(self.words) else ""
            return start, len(self.spaced[: len(self.spaced) - len(rest)].rstrip())
        found = list(_WORD.finditer(self.spaced))
        return found[first].start(), found[end - 1].end()


def numbers(words: Iterable[str]) -> int:
    """How many of the words are digits alone."""
    return sum(map(str.isdecimal, words))


def most_numbers(tokens: Iterable[str]) -> int:
    """How many words of digits alone one token may add to any text, at most.

    Args:
        tokens: the text of each. One that begins or ends within a character has a replacement character in it.
    """
    return max(
        (numbers(_split(text, text).words) + ("\ufffd" in text) for text in tokens if _may_count(text)),
        default=0,
    )


def _may_count(text: str) -> bool:
    return "\ufffd" in text or any(map(str.isdecimal, text))


def read_words(text: str) -> Words:
    """Splits a text into words. The numbers that count the lines of a list are none."""
    return _split(text, _without_list_markers(text) if "\n2" in text else text)


def beginnings(text: str) -> list[Words]:
    """All that the words of a longer text may begin with, when this is the beginning of it.

    Its last word may go on; and once a second line is counted, the first one's number is no word.
    """
    spellings = dict.fromkeys((_without_list_markers(text), *([] if "\n2" in text else [text])))
    whole = [_split(text, spaced) for spaced in spellings]
    return [read._replace(words=read.words[:-1], different=frozenset(read.words[:-1])) for read in whole]


def _without_list_markers(text: str) -> str:
    return _LIST_MARKER.sub(lambda marker: " " * len(marker[0]), text)


def _split(text: str, spaced: str) -> Words:
    if spaced.isascii():
        spaced = spaced.encode().translate(_ASCII_TO_SPACES).decode()
        words = spaced.lower().split()
    else:
        spaced = spaced.translate(_TO_SPACES)
        words = (_WORD.findall if _HAS_NO_SPACES.search(spaced) else str.split)(spaced.lower())
    return Words(text, spaced, words, frozenset(words))
