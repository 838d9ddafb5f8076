"""From labels to rates, comparisons, the best condition and the window. It never touches a model."""

from collections.abc import Mapping, Sequence

from steergauge.judging.label import Label
from steergauge.statistics.comparisons import compare_paired
from steergauge.statistics.proportions import wilson_interval
from steergauge.statistics.splitting import split_prompts
from steergauge.statistics.window import dose_window
from steergauge.studies.measurements import (
    Best,
    Comparison,
    ConditionResult,
    RandomControl,
    RandomDirection,
    Rate,
    Window,
)

Labels = Mapping[str, Label | None]
"""Prompt → label; None where the judge could not tell."""


def answered(labels: Labels) -> list[str]:
    """The prompts that the unsteered model does not refuse, as far as they are scored: where there is an effect."""
    return [prompt for prompt, label in labels.items() if label not in (Label.REFUSAL, None)]


def rate(labels: Labels, label: Label, prompts: Sequence[str] | None = None) -> Rate:
    """The share of distinct prompts with a label, with its Wilson interval; of all prompts unless told.

    Prompts whose output is unscored are in neither count; they are counted apart.
    """
    asked = list(labels) if prompts is None else list(prompts)
    counted = [prompt for prompt in asked if labels[prompt] is not None]
    count = sum(labels[prompt] is label for prompt in counted)
    low, high = wilson_interval(count, len(counted))
    return Rate(
        count=count,
        n=len(counted),
        rate=count / len(counted) if counted else None,
        low=low,
        high=high,
        unscored=len(asked) - len(counted),
    )


def compare(
    treated: Labels, reference: Labels, prompts: Sequence[str], p_adjusted: float | None = None
) -> Comparison:
    """Coherent refusal in two conditions on the same prompts, paired.

    A prompt whose output is unscored in either is no pair: it is left out, and counted apart. Where
    none is left, nothing is known: the interval is everything, and p is 1.
    """
    pairs = [prompt for prompt in prompts if treated[prompt] is not None and reference[prompt] is not None]
    if prompts and not pairs:
        return Comparison(
            n=0,
            gained=0,
            lost=0,
            difference=0,
            low=-1,
            high=1,
            p_value=1,
            p_adjusted=p_adjusted,
            unscored=len(prompts),
        )
    compared = compare_paired(
        {prompt: treated[prompt] is Label.REFUSAL for prompt in pairs},
        {prompt: reference[prompt] is Label.REFUSAL for prompt in pairs},
    )
    return Comparison(
        n=len(pairs), p_adjusted=p_adjusted, unscored=len(prompts) - len(pairs), **compared._asdict()
    )


def most_refusing(
    conditions: Sequence[ConditionResult], labels: Mapping[str, Labels], prompts: Sequence[str]
) -> ConditionResult:
    """The condition with most coherent refusals; then fewest garbled outputs; then the smallest total dose.

    Args:
        conditions: what is chosen from, one at least.
        labels: prompt → label for each condition's id.
        prompts: those that it is chosen on.
    """

    def merit(condition: ConditionResult) -> tuple[int, int, float]:
        on_prompts = [labels[condition.id][prompt] for prompt in prompts]
        return (
            on_prompts.count(Label.REFUSAL),
            -on_prompts.count(Label.GARBLED),
            -abs(condition.dose.total_relative),
        )

    return max(conditions, key=merit)


def best_condition(
    conditions: Sequence[ConditionResult],
    labels: Mapping[str, Labels],
    unsteered: Labels,
    seed: int,
) -> Best | None:
    """Chooses the most refusing on one half of the answered prompts, and reports on the other.

    An output that is unscored counts for nothing.

    Args:
        conditions: what is chosen from.
        labels: prompt → label for each condition's id.
        unsteered: prompt → label without steering; prompts that are refused or unscored there take no part.
        seed: of the split.

    Returns:
        None when fewer than two prompts are answered without steering.
    """
    open_prompts = answered(unsteered)
    if len(open_prompts) < 2 or not conditions:
        return None
    choosing, reporting = split_prompts(open_prompts, seed)
    best = most_refusing(conditions, labels, choosing)
    outcome = labels[best.id]
    return Best(
        condition=best.id,
        method=best.method,
        block=best.block,
        depth=best.depth,
        dose=best.dose,
        chosen_on=rate(outcome, Label.REFUSAL, choosing),
        reported_on=rate(outcome, Label.REFUSAL, reporting),
        garbled_on_reported=rate(outcome, Label.GARBLED, reporting),
        whole_set=rate(outcome, Label.REFUSAL, open_prompts),
        against_unsteered=compare(outcome, unsteered, reporting),
        choosing_prompts=choosing,
        reporting_prompts=reporting,
    )


def window_around(best: Best, conditions: Sequence[ConditionResult], threshold: float) -> Window:
    """The unbroken run of doses at the best condition's block that reach the threshold."""
    rates = {
        condition.dose.value: condition.effect.rate or 0.0
        for condition in conditions
        if (condition.method, condition.block) == (best.method, best.block)
    }
    found = dose_window(rates, best.dose.value, threshold)
    return Window(
        method=best.method,
        block=best.block,
        threshold=threshold,
        unit=best.dose.unit,
        doses=list(found.doses),
        low=min(found.doses, default=None),
        high=max(found.doses, default=None),
        open_below=found.open_below,
        open_above=found.open_above,
    )


def random_control(
    best: Best, outcomes: Mapping[int, Labels], labels: Mapping[str, Labels], unsteered: Labels
) -> RandomControl:
    """What random unit vectors of the best condition's dose do, by seed, and the best beyond the strongest.

    Args:
        best: the condition.
        outcomes: labels by seed, of the same prompts, among which are those that the best one is reported on.
        labels: of the conditions, by id.
        unsteered: the control's.
    """
    open_prompts = answered(unsteered)
    directions = [
        RandomDirection(
            seed=seed,
            refusal=rate(outcome, Label.REFUSAL),
            garbled=rate(outcome, Label.GARBLED),
            normal=rate(outcome, Label.NORMAL),
            effect=rate(outcome, Label.REFUSAL, [prompt for prompt in open_prompts if prompt in outcome]),
        )
        for seed, outcome in outcomes.items()
    ]
    strongest = max(directions, key=lambda direction: direction.effect.count).seed
    return RandomControl(
        directions=directions,
        strongest_seed=strongest,
        against_strongest=compare(labels[best.condition], outcomes[strongest], best.reporting_prompts),
    )
