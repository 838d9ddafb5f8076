"""What studies read off gauges: a model's label, its rows, one condition's labels prompt by prompt."""

from collections.abc import Mapping, Sequence

from steergauge.studies import analysis
from steergauge.studies.analysis import Labels, compare
from steergauge.studies.gauge import UNSTEERED
from steergauge.studies.measurements import Comparison, ConditionResult, Rate
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_result import OUTPUTS, Cell, Column, ColumnKind, FigurePoint, outputs_of

CONDITION_COLUMNS = (
    Column(key="model", title="Model"),
    Column(key="block", title="Block", kind=ColumnKind.NUMBER),
    Column(key="depth", title="Depth", kind=ColumnKind.SHARE),
    Column(key="dose", title="α", kind=ColumnKind.NUMBER),
    Column(key="relative", title="α / R", kind=ColumnKind.NUMBER),
    Column(key="refusal", title="Coherent refusal", kind=ColumnKind.RATE),
    Column(key="garbled", title="Garbled", kind=ColumnKind.RATE),
    Column(key="normal", title="Normal", kind=ColumnKind.RATE),
)
RATES_NOTE = "Coherent refusal is of the prompts that the unsteered model answers, garbled and normal are of all prompts."


def condition_row(name: str, condition: ConditionResult, gauge: str | None = None) -> dict[str, Cell]:
    """A condition's cells for `CONDITION_COLUMNS`.

    Args:
        name: of the model.
        condition: of one of its gauges.
        gauge: that gauge's label, where it is not the model's name.
    """
    return {
        "model": name,
        "block": condition.block,
        "depth": condition.depth,
        "dose": condition.dose.raw,
        "relative": condition.dose.relative,
        "refusal": condition.effect,
        "garbled": condition.garbled,
        "normal": condition.normal,
        OUTPUTS: outputs_of(gauge or name, condition.id),
    }


def best_of(result: GaugeResult) -> ConditionResult | None:
    """The condition that the gauge chose, with its rates over all prompts; None where it could not choose."""
    if result.best is None:
        return None
    return next(condition for condition in result.conditions if condition.id == result.best.condition)


def labels_of(result: GaugeResult, condition: str) -> Labels:
    """Prompt → label of one condition, in the order of the prompts."""
    labels = {one.prompt: one.label for one in result.generations if one.condition == condition}
    return {prompt: labels[prompt] for prompt in result.protocol.prompts if prompt in labels}


def answered(result: GaugeResult) -> list[str]:
    """The prompts that the unsteered model does not refuse, as far as they are scored."""
    return analysis.answered(labels_of(result, UNSTEERED))


def answered_by_both(first: GaugeResult, second: GaugeResult) -> list[str]:
    """The prompts that neither unsteered model refuses, in the order of the first."""
    there = set(answered(second))
    return [prompt for prompt in answered(first) if prompt in there]


def paired(
    first: tuple[GaugeResult, str], second: tuple[GaugeResult, str], p_adjusted: float | None = None
) -> Comparison:
    """Coherent refusal in two conditions on the prompts that neither unsteered model refuses: exact McNemar.

    Args:
        first: a gauge and the id of one of its conditions.
        second: the reference.
        p_adjusted: after correction for how many comparisons were made.

    Raises:
        SteergaugeError: there is no such prompt.
    """
    prompts = answered_by_both(first[0], second[0])
    return compare(labels_of(*first), labels_of(*second), prompts, p_adjusted)


def cautions_of(results: Mapping[str, GaugeResult]) -> tuple[str, ...]:
    """What the gauges say could make them wrong, each with the models that it concerns."""
    said: dict[str, list[str]] = {}
    for name, result in results.items():
        for caution in result.verdict.cautions:
            said.setdefault(caution, []).append(name)
    return tuple(
        f"{'All models' if len(names) == len(results) > 1 else ', '.join(names)}: {caution}"
        for caution, names in said.items()
    )


def rate_point(x: float | str, rate: Rate) -> FigurePoint | None:
    """A rate as a point of a figure; None where nothing was measured."""
    return None if rate.rate is None else FigurePoint(x=x, y=rate.rate, low=rate.low, high=rate.high)


def points(points: Sequence[FigurePoint | None]) -> tuple[FigurePoint, ...]:
    """Those that were measured."""
    return tuple(point for point in points if point is not None)
