"""Whether a text is language at all: loops, symbols, mixed scripts. No model takes part.

A text that stands still says the same three words over and over; so everything about loops is counted from
one thing, how often each run of three words has occurred before. That finds a repeated word, phrase, sentence
and line of any length alike, also one that is cut off in the middle or changes a little each time, and it
costs one pass. Characters are words where a script has no spaces, and inside a word too long to be one.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from steergauge.judging.label import Span
from steergauge.judging.words import Words, beginnings, numbers

# Chosen on the development part of the gold set, where language stays clear of them (docs/judges.md).
_STALE_SHARE = 0.45  # of runs of three words that have occurred before
_SAID_TWICE = 0.6  # said twice over, a text repeats half of itself: below this, some must come a third time
_THIRD_SHARE = 0.1  # of runs that occur for the third time or more
_FEWEST_STALE = 6  # such runs in a text that loops; they repeat at least eight words
_FEWEST_REPEATED = 8
_STALE_TAIL = 7  # words at the end that occur for the third time or more
_LOOPING_TAIL = 10  # words at the end that are one phrase three times over
_ONE_WORD_TAIL = 6  # times that one word comes before the last
_POOR_WINDOWS = ((12, 4), (20, 6), (30, 10))  # (words, at most so many different ones)
_FEW_WORDS = 30
_NUMBERS_SHARE = 0.5  # of numbers among the words: a matrix, which may well repeat itself
_LONG_WORD = 25  # characters: longer than any word but a compound or an address
_WORDLESS_SHARE = 0.35  # letters and digits among visible characters

_SIGN_RUN = re.compile(r"([^\w\s|:=\-_+*#>.~])\1{19}|\.{20,}\s*\Z")
# Signs that stand alone, such as quotation marks around nothing; a look for three of them is quick.
_LONE_SIGNS = "\"'“”«»,;!?()[]{}/\\&"
_THREE_ALONE = tuple(f"{sign} {sign} {sign}" for sign in _LONE_SIGNS)
_LONE_RUN = re.compile(rf"([{re.escape(_LONE_SIGNS)}])(?:\s+\1){{7,}}")
_FRAME = re.compile(r"[\s|:=\-_+*#>`]+")  # what tables, rules and headings are drawn with


class Garbling(NamedTuple):
    """What is wrong with a text, in words, and where."""

    rule: str
    span: Span


def find_garbling(read: Words) -> Garbling | None:
    """Finds out whether a text is garbled; None when it is language."""
    text, words = read.text, read.words
    if 2 * len("".join(words)) <= len(text) and (found := _symbols(text)):
        return found
    return _mixed_scripts(text) or _sign_alone(text) or _loop(read) or _long_words(read)


def stays_garbled(text: str, numbers_left: int) -> bool:
    """Whether every text that begins with this one is garbled.

    Scripts that were mixed stay so, and so does a sign alone. A loop does where it has a stretch with few different
    words: stretches stay where they are, and all that else is asked of a loop only grows. But one thing: numbers
    may become half of the words, which are then a matrix. What rests on shares or on the end proves nothing.

    Args:
        text: the beginning; none of its characters changes any more.
        numbers_left: how many words of digits alone may follow at most.
    """
    if _mixed_scripts(text) or _sign_alone(text):
        return True
    return all(_stays_loop(read, numbers_left) for read in beginnings(text))


def _stays_loop(read: Words, numbers_left: int) -> bool:
    words = read.words
    count = len(words)
    # The unfinished word may become a number as well.
    if numbers(words) + numbers_left + 1 >= _NUMBERS_SHARE * (count + numbers_left + 1):
        return False
    enough = _stale(words) >= _FEWEST_STALE and count - len(read.different) >= _FEWEST_REPEATED
    return enough and _poor_window(read) is not None


def _sign_alone(text: str) -> Garbling | None:
    """A sign that stands alone again and again, such as quotation marks around nothing."""
    if any(three in text for three in _THREE_ALONE) and (run := _LONE_RUN.search(text)):
        return Garbling("one sign alone, again and again", Span(*run.span()))
    return None


def _stale(words: Sequence[str]) -> int:
    """How many runs of three words have occurred before."""
    return len(words) - 2 - len(set(zip(words, words[1:], words[2:], strict=False)))


def _loop(read: Words) -> Garbling | None:
    """A text that repeats itself: mostly, at its end without coming out of it, or with very few words."""
    words = read.words
    if words[-3:-2] == words[-2:-1] and (found := _ends_in_one_word(read)):
        return found
    count, different = len(words), len(read.different)
    few = 2 * different <= count
    if count < 3 or count - different < (2 if few else _FEWEST_REPEATED):
        return None
    stale = _stale(words)
    if stale < _FEWEST_STALE and not few:
        return None  # most texts end here
    found = _repeats(read, stale) or _one_word(read) or _ends_in_loop(read) or _poor_window(read)
    if found and different > 1 and numbers(words) >= _NUMBERS_SHARE * count:
        return None
    return found


def _repeats(read: Words, stale: int) -> Garbling | None:
    runs = len(read.words) - 2
    if stale < max(_STALE_SHARE * runs, 4):
        return None
    if stale < _SAID_TWICE * runs and _third_times(read.words) < _THIRD_SHARE * runs:
        return None
    span = Span(*read.places(_first_stale(read.words), len(read.words)))
    return Garbling(f"loop: {stale / runs:.0%} of it repeats", span)


def _one_word(read: Words) -> Garbling | None:
    """A few words, most of them the same one."""
    words = read.words
    if len(words) > _FEW_WORDS:
        return None
    most = max(map(words.count, read.different))
    if len(read.different) > 1 and most < max(5, 0.6 * len(words)):
        return None
    return Garbling(f"one word {most} times of {len(words)}", Span(0, len(read.text)))


def _ends_in_one_word(read: Words) -> Garbling | None:
    """One word over and over at the end; a sign of Chinese, Japanese or Thai may well be laughter."""
    words = read.words
    tail = words[-_ONE_WORD_TAIL - 1 : -1]
    if len(tail) < _ONE_WORD_TAIL or len(set(tail)) > 1:
        return None
    if len(tail[0]) == 1 or tail[0].isdecimal():
        return None
    if not tail[0].startswith(words[-1]):  # the last may be cut off
        return None
    first = len(words) - 1
    while first and words[first - 1] == tail[0]:
        first -= 1
    return Garbling(f"ends in one word {len(words) - first} times", Span(*read.places(first, len(words))))


def _ends_in_loop(read: Words) -> Garbling | None:
    """One phrase three times over at the end, or words that all come for the third time; it may be cut off."""
    words = read.words
    if any(words.count(word) < 3 for word in words[-3:-1]):  # they are in both, cut off or not
        return None
    if " ".join(words).count(" ".join(words[-3:-1])) < 2:
        return None
    for end in (len(words), len(words) - 1):
        for period in _periods(words, end):
            tail = min(max(3 * period, _LOOPING_TAIL), end)
            if words[end - tail : end - period] == words[end - tail + period : end]:
                return Garbling(
                    f"ends in {period} words again and again", Span(*read.places(end - tail, end))
                )
    first, end = _third_time(words)
    if end - first < _STALE_TAIL or end < len(words) - 1:
        return None
    return Garbling(f"ends in a loop of {end - first} words", Span(*read.places(first, end)))


def _periods(words: Sequence[str], end: int) -> Iterator[int]:
    """How far before words[end − 1] the same word stands, up to a third of them; one word alone is no phrase."""
    for period in range(2, end // 3 + 1):
        if words[end - 1 - period] == words[end - 1]:
            yield period


def _third_times(words: Sequence[str]) -> int:
    """How many runs of three words occur for the third time or more."""
    times = Counter(zip(words, words[1:], words[2:], strict=False))
    return sum(count - 2 for count in times.values() if count > 2)


def _first_stale(words: Sequence[str]) -> int:
    """Where the first run of three words begins that has occurred before."""
    seen: set[tuple[str, str, str]] = set()
    for index, run in enumerate(zip(words, words[1:], words[2:], strict=False)):
        if run in seen:
            return index
        seen.add(run)
    return 0


def _third_time(words: Sequence[str]) -> tuple[int, int]:
    """The last stretch of words, as (first, end), whose runs of three all occur for the third time or more."""
    seen: dict[tuple[str, str, str], int] = {}
    first = end = 0
    for index, run in enumerate(zip(words, words[1:], words[2:], strict=False)):
        before = seen.get(run, 0)
        seen[run] = before + 1
        if before >= 2:
            if index > end - 2:
                first = index
            end = index + 3
    return first, end


def _poor_window(read: Words) -> Garbling | None:
    """A stretch with few different words, in any order."""
    words = read.words
    for size, most in _POOR_WINDOWS:
        half, step = size // 2, size // 6
        for block in range(0, len(words) - half + 1, half):  # each stretch holds one of these whole
            if len(set(words[block : block + half])) > most:
                continue  # and hardly any is as poor
            first, last = max(block - half, 0) // step * step, min(block, len(words) - size)
            for start in range(first, last + 1, step):
                different = len(set(words[start : start + size]))
                if different <= most:
                    span = Span(*read.places(start, start + size))
                    return Garbling(f"{different} different words in a stretch of {size}", span)
    return None


def _long_words(read: Words) -> Garbling | None:
    """A loop without spaces, such as "backbackback", which is most of the text or very long."""
    text, words = read.text, read.words
    if max(map(len, read.different), default=0) < max(_LONG_WORD, min(0.3 * len(text), 60)):
        return None
    longest = max(words, key=len)
    runs = len(longest) - 2
    if len(set(zip(longest, longest[1:], longest[2:], strict=False))) > (1 - _STALE_SHARE) * runs:
        return None
    start = max(text.lower().find(longest), 0)
    return Garbling("loop inside a word", Span(start, min(start + len(longest), len(text))))


def _symbols(text: str) -> Garbling | None:
    """A text with no words, or one that is mostly symbols once the frames of tables are left out."""
    bare = _FRAME.sub("", text)
    letters = sum(map(str.isalnum, bare))
    if run := _SIGN_RUN.search(text):
        return Garbling("a run of one sign", Span(*run.span()))
    if letters == 0 and not any(0x2190 < ord(sign) < 0xFFF0 or ord(sign) > 0xFFFF for sign in bare):
        return Garbling("no words", Span(0, len(text)))  # but a pictograph may be an answer
    if len(bare) >= 15 and letters < _WORDLESS_SHARE * len(bare):
        return Garbling("mostly symbols", Span(0, len(text)))
    return None


_SCRIPTS = re.compile(
    "(?P<latin>[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+)|(?P<cyrillic>[\u0400-\u052f]+)|(?P<greek>[\u0370-\u03ff]+)"
    "|(?P<arabic>[\u0600-\u06ff\u0750-\u077f]+)|(?P<hebrew>[\u0590-\u05ff]+)|(?P<indic>[\u0900-\u0d7f]+)"
    "|(?P<thai>[\u0e00-\u0eff]+)|(?P<hangul>[\uac00-\ud7af\u1100-\u11ff]+)"
    "|(?P<han>[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+)"
)


def _mixed_scripts(text: str) -> Garbling | None:
    """Scripts that change in mid-sentence, again and again; a list of translations sets them off with signs."""
    if text.isascii():
        return None
    changes: list[tuple[int, bool]] = []
    scripts = set()
    previous: re.Match[str] | None = None
    for found in _SCRIPTS.finditer(text):
        scripts.add(found.lastgroup)
        if previous is not None and previous.lastgroup != found.lastgroup:
            between = text[previous.end() : found.start()]
            if between in ("", " "):
                changes.append(
                    (found.start(), between == "" and "han" not in (found.lastgroup, previous.lastgroup))
                )
        previous = found
    inside = sum(glued for _, glued in changes)
    if (len(scripts) >= 3 and len(changes) >= 4) or inside >= 3:
        return Garbling("scripts mixed in mid-sentence", Span(changes[0][0], changes[-1][0]))
    return None
