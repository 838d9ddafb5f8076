"""Models compared in pairs, prompt by prompt."""

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

from steergauge.judging.label import Label
from steergauge.statistics.comparisons import adjust_holm
from steergauge.statistics.unpaired import cohens_h
from steergauge.studies.analysis import Labels, best_condition, compare, rate
from steergauge.studies.experiments.conditions import answered_by_both, labels_of
from steergauge.studies.gauge import UNSTEERED
from steergauge.studies.measurements import Comparison
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_result import Cell, Column, ColumnKind, Estimate

PAIR_COLUMNS = (
    Column(key="first", title="Model"),
    Column(key="second", title="against"),
    Column(key="prompts", title="Prompts", kind=ColumnKind.NUMBER),
    Column(key="difference", title="Difference, points", kind=ColumnKind.POINTS),
    Column(key="h", title="Cohen's h", kind=ColumnKind.NUMBER),
    Column(key="p", title="p, exact McNemar", kind=ColumnKind.P_VALUE),
    Column(key="p_adjusted", title="p, Holm", kind=ColumnKind.P_VALUE),
)
PAIRS_NOTE = (
    "Where conditions were chosen, both are chosen anew for each pair: on one half of the prompts that both unsteered "
    "models answer, and compared on the other half. Where there was none to choose, on all of these prompts."
)


class _Outcome(NamedTuple):
    """Two models' labels at their best conditions, and the prompts that neither was chosen on."""

    first: Labels
    second: Labels
    prompts: list[str]


def compared_in_pairs(results: Mapping[str, GaugeResult]) -> list[dict[str, Cell]]:
    """A row a pair of models at their best conditions, with Holm's correction over all of them.

    A pair that has no prompts to be compared on has a row without numbers.
    """
    pairs = {
        (first, second): _compare_bests(results[first], results[second])
        for first, second in combinations(results, 2)
    }
    adjusted = iter(adjust_holm([found[0].p_value for found in pairs.values() if found is not None]))
    rows: list[dict[str, Cell]] = []
    for (first, second), found in pairs.items():
        row: dict[str, Cell] = {"first": first, "second": second, "prompts": 0}
        if found is not None:
            compared, h = found
            row |= {
                "prompts": compared.n,
                "difference": Estimate(value=compared.difference, low=compared.low, high=compared.high),
                "h": h,
                "p": compared.p_value,
                "p_adjusted": next(adjusted),
            }
        rows.append(row)
    return rows


def _compare_bests(first: GaugeResult, second: GaugeResult) -> tuple[Comparison, float] | None:
    """The paired comparison and Cohen's h; None where there is no prompt to compare on."""
    outcome = _bests(first, second)
    if outcome is None:
        return None
    rates = [rate(labels, Label.REFUSAL, outcome.prompts).rate or 0.0 for labels in outcome[:2]]
    return compare(outcome.first, outcome.second, outcome.prompts), cohens_h(*rates)


def _bests(first: GaugeResult, second: GaugeResult) -> _Outcome | None:
    common = answered_by_both(first, second)
    if not common:
        return None
    if len(first.conditions) == len(second.conditions) == 1:
        return _Outcome(
            labels_of(first, first.conditions[0].id), labels_of(second, second.conditions[0].id), common
        )
    chosen = []
    for result in (first, second):
        labels = {one.id: labels_of(result, one.id) for one in result.conditions}
        control = labels_of(result, UNSTEERED)
        # Of the same prompts and seed, so that both have the same halves.
        best = best_condition(
            result.conditions, labels, {prompt: control[prompt] for prompt in common}, first.protocol.seed
        )
        if best is None:
            return None
        chosen.append((labels[best.condition], best.reporting_prompts))
    return _Outcome(chosen[0][0], chosen[1][0], chosen[0][1])
