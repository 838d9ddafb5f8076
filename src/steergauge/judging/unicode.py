"""One spelling for texts that look alike, with the way back to where each character stood."""

import unicodedata
from typing import NamedTuple

from steergauge.judging.label import Span

_ALIKE = str.maketrans(dict.fromkeys("’‘ʼ＇`´ʹ′", "'") | dict.fromkeys("\xa0\u202f\u2009\u3000", " "))


class Normal(NamedTuple):
    """A text in lower case, NFKC, with plain apostrophes; and where its characters come from."""

    text: str
    places: list[int] | None  # of each character in the original; None where they are the same
    length: int  # of the original

    def original(self, start: int, end: int) -> Span:
        """Where text[start:end] stands in the original."""
        if self.places is None:
            return Span(start, end)
        return Span(self.places[start], self.places[end] if end < len(self.places) else self.length)


def normalise(text: str) -> Normal:
    """Normalises a text: full-width letters, ligatures, curly apostrophes and composed accents are as typed."""
    if text.isascii():
        return Normal(text.lower().replace("`", "'"), None, len(text))
    plain = text.translate(_ALIKE)
    if unicodedata.is_normalized("NFKC", plain):
        lowered = plain.lower()
        if len(lowered) == len(plain):
            return Normal(lowered, None, len(text))
    parts: list[str] = []
    places: list[int] = []
    start = 0
    for end in range(1, len(plain) + 1):
        if end < len(plain) and unicodedata.combining(plain[end]):
            continue  # an accent belongs to the letter before it
        part = unicodedata.normalize("NFKC", plain[start:end]).translate(_ALIKE).lower()
        parts.append(part)
        places.extend([start] * len(part))
        start = end
    return Normal("".join(parts), places, len(text))
