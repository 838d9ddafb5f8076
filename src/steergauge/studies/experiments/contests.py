"""Two methods of one gauge against each other: the study's unequal comparison, and the equal ones. It touches no model."""

from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from steergauge.judging.label import Label
from steergauge.statistics.comparisons import adjust_holm
from steergauge.statistics.splitting import split_prompts
from steergauge.studies.analysis import compare, most_refusing, rate
from steergauge.studies.experiments.conditions import answered, labels_of
from steergauge.studies.measurements import Comparison, ConditionResult, Rate
from steergauge.studies.plan import block_at
from steergauge.studies.result import GaugeResult, SelectionRecord


class Terms(StrEnum):
    """What is open to the two methods."""

    AS_STUDY = (
        "as the study"  # the first at its best depth and dose; the other at its own block, at that dose
    )
    SWEPT = "both swept"  # each at its best depth and dose
    OWN_BLOCK = "at its own block"  # both at the block that the other chose, each at its best dose


class Contest(NamedTuple):
    """One comparison: the conditions, their rates on the same prompts, and the other minus the first."""

    terms: Terms
    held_out: bool
    first: ConditionResult
    other: ConditionResult
    first_rate: Rate
    other_rate: Rate
    comparison: Comparison


class Beside(NamedTuple):
    """A method beside the first, on one model."""

    model: str
    method: str
    result: GaugeResult
    contests: list[Contest]

    @property
    def selection(self) -> SelectionRecord | None:
        """How the method chose its block; None where it does not."""
        return next(one.selection for one in self.result.directions if one.method == self.method)

    def on(self, terms: Terms, *, held_out: bool) -> Contest | None:
        """The comparison on those terms, if it was made."""
        return next((one for one in self.contests if one.terms is terms and one.held_out is held_out), None)

    def cosine(self, first: str, block: int) -> float | None:
        """Of the two methods' directions at a block; None for heads."""
        side = self.result.side_by_side
        for one in side.cosines if side else []:
            if one.block == block and {first, self.method} <= set(one.methods):
                return one.matrix[one.methods.index(first)][one.methods.index(self.method)]
        return None


def beside(model: str, first: str, method: str, result: GaugeResult) -> Beside:
    """Compares a method with the first on every term, each on all prompts and on held-out ones.

    Only prompts that the unsteered model answers count. On all of them conditions are chosen on the prompts that they are
    reported on, as the study did; held out, they are chosen on one half and reported on the other.

    Args:
        model: its name.
        first: the method that is swept.
        method: the other.
        result: a gauge of both.
    """
    prompts = answered(result)
    halves = split_prompts(prompts, result.protocol.seed)
    contests = [
        contest
        for chosen_on, reported_on, held_out in ((prompts, prompts, False), (*halves, True))
        if chosen_on and reported_on
        for contest in _contests(Beside(model, method, result, []), first, chosen_on, reported_on, held_out)
    ]
    return Beside(model, method, result, contests)


def corrected(all_beside: Sequence[Beside]) -> list[Beside]:
    """The same with p after Holm's correction: over a model's comparisons, apart for all and for held-out prompts."""
    families = defaultdict(list)
    for one in all_beside:
        for contest in one.contests:
            families[one.model, contest.held_out].append(contest.comparison.p_value)
    adjusted = {family: iter(adjust_holm(p_values)) for family, p_values in families.items()}
    return [
        one._replace(
            contests=[
                contest._replace(
                    comparison=contest.comparison.model_copy(
                        update={"p_adjusted": next(adjusted[one.model, contest.held_out])}
                    )
                )
                for contest in one.contests
            ]
        )
        for one in all_beside
    ]


def _contests(
    two: Beside, first: str, chosen_on: Sequence[str], reported_on: Sequence[str], held_out: bool
) -> list[Contest]:
    result = two.result
    labels = {one.id: labels_of(result, one.id) for one in result.conditions}
    swept = {block_at(depth, result.model.blocks) for depth in result.protocol.depths}

    def best(method: str, blocks: set[int]) -> ConditionResult:
        open_to = [one for one in result.conditions if one.method == method and one.block in blocks]
        return most_refusing(open_to, labels, chosen_on)

    def contest(terms: Terms, ours: ConditionResult, theirs: ConditionResult) -> Contest:
        return Contest(
            terms,
            held_out,
            ours,
            theirs,
            rate(labels[ours.id], Label.REFUSAL, reported_on),
            rate(labels[theirs.id], Label.REFUSAL, reported_on),
            compare(labels[theirs.id], labels[ours.id], reported_on),
        )

    ours = best(first, swept)
    found = [contest(Terms.SWEPT, ours, best(two.method, swept))]
    if two.selection is not None:
        own = {two.selection.block}
        same_dose = next(
            one
            for one in result.conditions
            if one.method == two.method and one.block in own and one.dose.value == ours.dose.value
        )
        found.insert(0, contest(Terms.AS_STUDY, ours, same_dose))
        found.append(contest(Terms.OWN_BLOCK, best(first, own), best(two.method, own)))
    return found
