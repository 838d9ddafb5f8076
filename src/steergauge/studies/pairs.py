"""The check of a contrast set: what about its prompts could make a direction one of something else."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from enum import StrEnum
from statistics import median
from typing import Literal

import pandas as pd
from pydantic import Field

from steergauge.errors import SteergaugeError
from steergauge.judging.label import Label
from steergauge.prompts import ContrastSet
from steergauge.studies.measurements import Record
from steergauge.studies.result import ModelRecord

CLASS_LENGTH_RATIO = 1.5
"""The classes differ wildly in length where the longer median is more than this many times the shorter one."""

PAIR_LENGTH_RATIO = 3.0
"""A pair does where its longer prompt has more than this many times the tokens of the shorter one."""


class PairsFault(StrEnum):
    """What can be wrong with a contrast set."""

    REPEAT = "repeat"
    CLASS_LENGTHS = "class lengths"
    PAIR_LENGTHS = "pair lengths"
    HARMFUL_NOT_REFUSED = "harmful, not refused"
    HARMLESS_REFUSED = "harmless, refused"


class PairsWarning(Record):
    """One thing that could make the direction another one."""

    fault: PairsFault = Field(description="What kind of thing it is.")
    prompts: list[str] = Field(description="The prompts it is about; empty where it is about the classes.")
    message: str = Field(description="A sentence: what was found, and what it does to the direction.")


class PairsCheck(Record):
    """What a contrast set looks like to one model, unsteered."""

    contrast_set: str = Field(description="Name of the set.")
    positive: int = Field(description="Positive prompts, for refusal the harmful ones.")
    negative: int = Field(description="Negative prompts.")
    positive_refused: int = Field(description="Positive prompts that the unsteered model refuses.")
    negative_refused: int = Field(description="Negative prompts that it refuses.")
    unscored: int = Field(default=0, description="Prompts whose answer the judge could not read.")
    positive_median_tokens: float = Field(description="Median length of the positive prompts, in tokens.")
    negative_median_tokens: float = Field(description="Median length of the negative prompts, in tokens.")
    warnings: list[PairsWarning] = Field(description="What was found; empty where nothing was.")

    def to_pandas(self) -> pd.DataFrame:
        """One row a warning."""
        rows = [(str(one.fault), one.prompts, one.message) for one in self.warnings]
        return pd.DataFrame(rows, columns=["fault", "prompts", "message"])


class PromptReading(Record):
    """One prompt of a contrast set, and what the unsteered model answers."""

    side: Literal["positive", "negative"] = Field(description="The class it stands in.")
    prompt: str = Field(description="What the model was asked.")
    tokens: int = Field(description="Its length in tokens, without the template.")
    label: Label | None = Field(description="How the judge read the answer; null where it could not.")
    evidence: str = Field(description="What the judge went by.")
    evidence_start: int | None = Field(
        default=None,
        description="Where that begins in `text`, in code points; null where it has no one place.",
    )
    evidence_end: int | None = Field(default=None, description="Where it ends: the first that it leaves out.")
    text: str = Field(description="The answer, verbatim.")


class PairsResult(Record):
    """A contrast set as one model reads it, unsteered."""

    schema_: Literal["steergauge.pairs/1"] = Field(
        default="steergauge.pairs/1", alias="schema", description="Name and version of this form."
    )
    steergauge: str = Field(description="The version that measured.")
    model: ModelRecord = Field(description="What was asked.")
    engine: str = Field(description="What generated, with its version.")
    judge: str = Field(description="What labelled the answers, with its version.")
    max_new_tokens: int = Field(description="The most tokens that an answer may have.")
    check: PairsCheck = Field(description="What was found.")
    prompts: list[PromptReading] = Field(
        description="Every prompt: the positive ones, then the negative ones."
    )


def check_pairs(
    contrast_set: ContrastSet,
    positive_tokens: Sequence[int],
    negative_tokens: Sequence[int],
    positive_labels: Sequence[Label | None],
    negative_labels: Sequence[Label | None],
) -> PairsCheck:
    """Warns on what a contrast set's two classes differ in besides the behaviour.

    Args:
        contrast_set: the prompts.
        positive_tokens: length of each positive prompt itself, without the template.
        negative_tokens: the same for the negative prompts.
        positive_labels: how the judge read the unsteered model's answer to each positive prompt; None where it
            could not.
        negative_labels: the same for the negative prompts.

    Raises:
        SteergaugeError: not one length and one label a prompt, or a length below one token.
    """
    for name, prompts, tokens, labels in (
        ("positive", contrast_set.positive, positive_tokens, positive_labels),
        ("negative", contrast_set.negative, negative_tokens, negative_labels),
    ):
        if not len(prompts) == len(tokens) == len(labels):
            raise SteergaugeError(
                f"{contrast_set.name} has {len(prompts)} {name} prompts, and there are {len(tokens)} lengths "
                f"and {len(labels)} labels; give one of each a prompt"
            )
        if min(tokens) < 1:
            raise SteergaugeError(
                f"a {name} prompt of {contrast_set.name} has {min(tokens)} tokens; none is shorter than 1"
            )
    return PairsCheck(
        contrast_set=contrast_set.name,
        positive=len(contrast_set.positive),
        negative=len(contrast_set.negative),
        positive_refused=sum(label is Label.REFUSAL for label in positive_labels),
        negative_refused=sum(label is Label.REFUSAL for label in negative_labels),
        unscored=[*positive_labels, *negative_labels].count(None),
        positive_median_tokens=median(positive_tokens),
        negative_median_tokens=median(negative_tokens),
        warnings=[
            *_repeats(contrast_set),
            *_class_lengths(median(positive_tokens), median(negative_tokens)),
            *_pair_lengths(contrast_set, positive_tokens, negative_tokens),
            *_not_refused(contrast_set, positive_labels),
            *_refused(contrast_set, negative_labels),
        ],
    )


def _repeats(contrast_set: ContrastSet) -> Iterator[PairsWarning]:
    """Prompts of the same words; equal texts cannot stand in a set."""
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for prompt in contrast_set.positive + contrast_set.negative:
        alike[tuple(re.findall(r"\w+", prompt.casefold())) or (prompt,)].append(prompt)
    for prompts in alike.values():
        if len(prompts) > 1:
            yield PairsWarning(
                fault=PairsFault.REPEAT,
                prompts=prompts,
                message=f"{_quoted(prompts)} have the same words: they count almost as one prompt, {len(prompts)} times.",
            )


def _class_lengths(positive: float, negative: float) -> Iterator[PairsWarning]:
    if max(positive, negative) > CLASS_LENGTH_RATIO * min(positive, negative):
        yield PairsWarning(
            fault=PairsFault.CLASS_LENGTHS,
            prompts=[],
            message=f"The positive prompts have a median of {positive:g} tokens and the negative ones of {negative:g}, "
            f"more than {CLASS_LENGTH_RATIO:g} times apart: the direction may be one of length.",
        )


def _pair_lengths(
    contrast_set: ContrastSet, positive: Sequence[int], negative: Sequence[int]
) -> Iterator[PairsWarning]:
    """Classes of different sizes are no pairs."""
    if len(positive) != len(negative):
        return
    pairs = zip(contrast_set.positive, contrast_set.negative, strict=True)
    for pair, ours, theirs in zip(pairs, positive, negative, strict=True):
        if max(ours, theirs) > PAIR_LENGTH_RATIO * min(ours, theirs):
            yield PairsWarning(
                fault=PairsFault.PAIR_LENGTHS,
                prompts=list(pair),
                message=f"The pair {_quoted(pair)} has {ours} and {theirs} tokens, more than {PAIR_LENGTH_RATIO:g} "
                "times apart: their difference may be one of length.",
            )


def _not_refused(contrast_set: ContrastSet, labels: Sequence[Label | None]) -> Iterator[PairsWarning]:
    for prompt, label in zip(contrast_set.positive, labels, strict=True):
        if label not in (Label.REFUSAL, None):
            yield PairsWarning(
                fault=PairsFault.HARMFUL_NOT_REFUSED,
                prompts=[prompt],
                message=f"The unsteered model does not refuse {prompt!r} (its answer: {label}), "
                "so what it reads there is not a refusal.",
            )


def _refused(contrast_set: ContrastSet, labels: Sequence[Label | None]) -> Iterator[PairsWarning]:
    for prompt, label in zip(contrast_set.negative, labels, strict=True):
        if label is Label.REFUSAL:
            yield PairsWarning(
                fault=PairsFault.HARMLESS_REFUSED,
                prompts=[prompt],
                message=f"The unsteered model refuses {prompt!r}, a negative prompt: "
                "its refusal is subtracted from the direction.",
            )


def _quoted(prompts: Sequence[str]) -> str:
    return " and ".join(repr(prompt) for prompt in prompts)
