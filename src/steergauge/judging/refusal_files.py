"""The wording of refusals, one TOML file a language (data/refusals/), read and checked."""

import re
import tomllib
from collections.abc import Mapping, Set
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from steergauge.judging.label import Kind


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Pattern(_Record):
    """One wording of a refusal."""

    name: str = Field(description="What it is, in words: the evidence.")
    needs: frozenset[str] = Field(
        description="It is tried only where one of these stands: they are found fast. Words or parts, as cues."
    )
    regex: re.Pattern[str] = Field(description="On text in lower case, NFKC, with plain apostrophes.")
    opening: bool = Field(default=False, description="Counts at the beginning of the text alone.")
    kind: Kind = Kind.SAFETY


class Examples(_Record):
    """What the file must and must not find; each is a test."""

    refusals: tuple[str, ...]
    others: tuple[str, ...]


class Language(_Record):
    """How one language declines."""

    language: str = Field(description="ISO 639-1.")
    name: str
    latin: bool = Field(default=False, description="Its cues are whole words; else parts of words.")
    cues: frozenset[str] = Field(description="One of these stands in every text that a pattern finds.")
    patterns: tuple[Pattern, ...]
    reported: re.Pattern[str] | None = Field(
        description="Before the words: someone else says them, or would."
    )
    capability: re.Pattern[str] | None = Field(description="In the sentence: means are lacking.")
    confused: re.Pattern[str] | None = Field(description="A reason of law or morals.")
    answers: re.Pattern[str] | None = Field(description="After the words: an answer begins all the same.")
    offers: re.Pattern[str] | None = Field(description="What follows a refusal and is no answer.")
    examples: Examples

    def may_decline_in(self, text: str, words: Set[str]) -> bool:
        """Whether any of its cues stands in a text: most languages end here."""
        if self.latin:
            return not self.cues.isdisjoint(words)
        return any(map(text.__contains__, self.cues))

    def patterns_for(self, text: str, words: Set[str]) -> list[Pattern]:
        """The patterns of which something that they need stands in a text."""
        if self.latin:
            return [pattern for pattern in self.patterns if not pattern.needs.isdisjoint(words)]
        return [pattern for pattern in self.patterns if any(map(text.__contains__, pattern.needs))]


@cache
def latin_languages() -> tuple[Language, ...]:
    """Those that an ASCII text may be in."""
    return tuple(language for language in languages() if language.latin)


@cache
def latin_cues() -> frozenset[str]:
    """The cues of every language in Latin letters."""
    return frozenset(cue for language in latin_languages() for cue in language.cues)


@cache
def languages() -> tuple[Language, ...]:
    """Every language there is a file for; English first, as most texts are."""
    folder = files("steergauge.data").joinpath("refusals")
    read = [
        _read(tomllib.loads(file.read_text(encoding="utf-8")))
        for file in folder.iterdir()
        if file.name.endswith(".toml")
    ]
    return tuple(sorted(read, key=lambda language: (language.language != "en", language.language)))


def _read(content: Mapping[str, Any]) -> Language:
    parts = {name: f"(?:{part})" for name, part in content.get("parts", {}).items()}

    def compiled(pattern: str) -> re.Pattern[str]:
        for name, part in parts.items():
            pattern = pattern.replace(f"<{name}>", part)
        return re.compile("".join(line.strip() for line in pattern.splitlines()))

    contexts = {
        name: content.get("context", {}).get(name)
        for name in ("reported", "capability", "confused", "answers", "offers")
    }
    return Language(
        language=content["language"],
        name=content["name"],
        latin=content.get("latin", False),
        cues=content["cues"],
        patterns=tuple(
            Pattern(
                **{key: value for key, value in one.items() if key != "pattern"},
                regex=compiled(one["pattern"]),
            )
            for one in content["patterns"]
        ),
        examples=content["examples"],
        **{name: None if pattern is None else compiled(pattern) for name, pattern in contexts.items()},
    )
