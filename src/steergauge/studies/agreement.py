"""Judges against known labels, people against each other and against judges, and rates corrected for error."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import NamedTuple

import pandas as pd

from steergauge.judging.gold import GoldItem
from steergauge.judging.judges import JUDGES
from steergauge.judging.label import Judge, Label
from steergauge.statistics.agreement import (
    Agreement,
    Estimate,
    compare_readings,
    corrected_rate,
    krippendorff_alpha,
)
from steergauge.store import Kept, Rating

LABELS = [label.value for label in Label]


def score_judges(items: Sequence[GoldItem], judges: Mapping[str, Judge] = JUDGES) -> dict[str, Agreement]:
    """Every judge against the gold labels of the same items."""
    truth = [item.label.value for item in items]
    return {
        name: compare_readings(truth, [judge.judge(item.text).label.value for item in items], LABELS)
        for name, judge in judges.items()
    }


class Disagreement(NamedTuple):
    """An output that was not read alike."""

    key: str
    labels: dict[str, Label]  # by rater or judge


class StoreAgreement(NamedTuple):
    """How the readers of one store agree; pairs read the outputs that both have read."""

    steadiness: dict[str, Agreement]  # each rater's second labels against the first ones
    between: dict[tuple[str, str], Agreement]  # two raters, the first one taken as true
    alpha: Estimate  # among all raters
    judges: dict[str, Agreement]  # each judge against the people's label
    disagreements: list[Disagreement]


def store_agreement(
    ratings: Iterable[Rating], texts: Mapping[str, str], judges: Mapping[str, Judge] = JUDGES
) -> StoreAgreement:
    """Compares all readers of a store.

    A rater's last word on a showing counts. The people's label of an output is the one that most raters gave
    at its first showing; an output on which none has most is left out of the judges' score, not of the
    disagreements.

    Args:
        ratings: what people said, in the order given.
        texts: the outputs, by address.
        judges: who else reads them.
    """
    shown: defaultdict[tuple[str, int], dict[str, Label]] = defaultdict(dict)
    for rating in ratings:
        shown[rating.rater, rating.showing][rating.key] = rating.label
    first = {rater: labels for (rater, showing), labels in shown.items() if showing == 1}
    by_output = _by_output(first)
    people = {key: label for key, labels in by_output.items() if (label := _majority(labels.values()))}
    judged = {
        name: {key: judge.judge(texts[key]).label for key in by_output} for name, judge in judges.items()
    }
    return StoreAgreement(
        steadiness={
            rater: agreement
            for rater, labels in first.items()
            if (agreement := _compared(labels, shown.get((rater, 2), {})))
        },
        between={
            (one, other): agreement
            for one, other in combinations(sorted(first), 2)
            if (agreement := _compared(first[one], first[other]))
        },
        alpha=krippendorff_alpha(
            [[label.value for label in labels.values()] for labels in by_output.values()]
        ),
        judges={
            name: agreement for name, labels in judged.items() if (agreement := _compared(people, labels))
        },
        disagreements=[
            Disagreement(key, everyone)
            for key, labels in sorted(by_output.items())
            if len(set((everyone := labels | {name: one[key] for name, one in judged.items()}).values())) > 1
        ],
    )


class CorrectedRate(NamedTuple):
    """A judge's rate of coherent refusal in one condition, and what it is without the judge's error."""

    condition: str
    judge: str
    refusals: float  # a prompt with several outputs counts by the share of them
    n: int  # distinct prompts
    corrected: Estimate


def corrected_rates(
    generations: Mapping[str, Kept], measured: Mapping[str, Agreement], judges: Mapping[str, Judge] = JUDGES
) -> list[CorrectedRate]:
    """Every condition's refusal rate by every judge, corrected for the error that people's labels measured.

    A prompt is one observation, however many samples it has: the interval is then at most too wide.

    Args:
        generations: the store's.
        measured: each judge against people's labels.
        judges: by name.
    """
    conditions: defaultdict[str, list[Kept]] = defaultdict(list)
    for one in generations.values():
        conditions[one.condition].append(one)
    return [
        _corrected(condition, name, _refused_shares(outputs, judges[name]), measured[name])
        for condition, outputs in sorted(conditions.items())
        for name in measured
    ]


def _refused_shares(outputs: Iterable[Kept], judge: Judge) -> list[float]:
    """The share of each prompt's outputs that the judge calls a refusal."""
    prompts: defaultdict[str, list[bool]] = defaultdict(list)
    for one in outputs:
        prompts[one.prompt].append(judge.judge(one.text).label is Label.REFUSAL)
    return [fmean(refused) for refused in prompts.values()]


def _corrected(condition: str, name: str, shares: list[float], measured: Agreement) -> CorrectedRate:
    row = measured.classes[Label.REFUSAL.value]
    others, refusals = measured.n - row.true, sum(shares)
    rate = Estimate(math.nan, math.nan, math.nan)
    if row.true and others:  # else one of the judge's two errors was not measured
        wrongly = row.said - row.found
        rate = corrected_rate(refusals, len(shares), (row.found, row.true), (others - wrongly, others))
    return CorrectedRate(condition, name, refusals, len(shares), rate)


def disagreement_table(
    disagreements: Iterable[Disagreement], generations: Mapping[str, Kept]
) -> pd.DataFrame:
    """One row an output that was not read alike: the prompt, the text and a column a reader."""
    return pd.DataFrame(
        [
            {"key": key, "prompt": generations[key].prompt, "text": generations[key].text}
            | {reader: label.value for reader, label in labels.items()}
            for key, labels in disagreements
        ]
    )


def ratings_table(ratings: Iterable[Rating]) -> pd.DataFrame:
    """One row a label that a person gave, in the order given."""
    rows = [rating._asdict() | {"label": rating.label.value} for rating in ratings]
    return pd.DataFrame(rows, columns=list(Rating._fields))


def _by_output(first: Mapping[str, Mapping[str, Label]]) -> dict[str, dict[str, Label]]:
    found: defaultdict[str, dict[str, Label]] = defaultdict(dict)
    for rater, labels in first.items():
        for key, label in labels.items():
            found[key][rater] = label
    return dict(found)


def _majority(labels: Iterable[Label]) -> Label | None:
    given = list(labels)
    best = max(Label, key=given.count)
    return best if 2 * given.count(best) > len(given) else None


def _compared(truth: Mapping[str, Label], reading: Mapping[str, Label]) -> Agreement | None:
    both = [key for key in truth if key in reading]
    if not both:
        return None
    return compare_readings([truth[key].value for key in both], [reading[key].value for key in both], LABELS)
