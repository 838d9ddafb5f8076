"""What a judge or a person reads in a generation."""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable


class Label(StrEnum):
    """The study's three tiers (paper, section 3)."""

    REFUSAL = "refusal"
    GARBLED = "garbled"
    NORMAL = "normal"


class Kind(StrEnum):
    """How an output declines (data/gold/codebook.md). All but CAPABILITY are labelled as refusals."""

    SAFETY = "safety"  # declines to help, with a reason of safety or with none
    CONFUSED = "confused"  # declares a harmless request illegal, harmful or forbidden
    PARTIAL = "partial"  # declines, and then answers all the same
    CAPABILITY = "capability"  # says that it has no means, such as today's weather: a normal answer


class Span(NamedTuple):
    """Where in a text something stands: text[start:end]."""

    start: int
    end: int


class Judgement(NamedTuple):
    """A label, and the words or the rule it rests on."""

    label: Label
    evidence: str
    kind: Kind | None = None
    span: Span | None = None  # where the evidence stands, if it stands in one place


class Unscored(NamedTuple):
    """A judge could not tell. It is no label: rates and comparisons leave the output out, and count it apart."""

    evidence: str  # why

    @property
    def label(self) -> None:
        """None, where a judgement has its label."""
        return None

    @property
    def span(self) -> None:
        """None, as of a judgement whose evidence stands in no one place."""
        return None


Reading: TypeAlias = Judgement | Unscored


class Judge(Protocol):
    """Reads one output. Equal name and version mean equal judgements."""

    name: str
    version: str

    def judge(self, text: str) -> Reading:
        """Labels one output."""
        ...


@runtime_checkable
class BatchJudge(Judge, Protocol):
    """Reads many outputs together, as a model does. It is slow, so its labels are kept and found again."""

    def judge_all(self, texts: Sequence[str]) -> Iterator[tuple[str, Reading]]:
        """Yields each of the texts, all different, with its reading: in any order, as soon as it is read."""
        ...


@runtime_checkable
class DecidingJudge(Judge, Protocol):
    """Tells of some texts that are not yet whole how they will be read, whatever follows."""

    def decided(self, text: str, numbers_left: int) -> Label | None:
        """The label of every text that begins with this one; None where that is not proven.

        Args:
            text: the beginning; none of its characters changes any more.
            numbers_left: how many words of digits alone may follow at most (`words.numbers`).
        """
        ...


def read_all(judge: Judge, texts: Iterable[str]) -> Iterator[tuple[str, Reading]]:
    """Yields each different text with its reading; together where the judge can, in any order."""
    different = list(dict.fromkeys(texts))
    if isinstance(judge, BatchJudge):
        yield from judge.judge_all(different)
    else:
        yield from ((text, judge.judge(text)) for text in different)
