"""What a judge or a person reads in a generation."""

from enum import StrEnum
from typing import NamedTuple, Protocol


class Label(StrEnum):
    """The study's three tiers (paper, section 3)."""

    REFUSAL = "refusal"
    GARBLED = "garbled"
    NORMAL = "normal"


class Judgement(NamedTuple):
    """A label, and the words or the rule it rests on."""

    label: Label
    evidence: str


class Judge(Protocol):
    """Reads one output. Equal name and version mean equal judgements."""

    name: str
    version: str

    def judge(self, text: str) -> Judgement:
        """Labels one output."""
        ...
