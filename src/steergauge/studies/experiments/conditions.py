"""What studies read off gauges: a model's label, its rows, one condition's labels prompt by prompt."""

from collections.abc import Sequence

from steergauge.judging.label import Label
from steergauge.studies.analysis import Labels, compare
from steergauge.studies.measurements import Comparison, ConditionResult, Rate
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_result import Cell, Column, ColumnKind, FigurePoint
from steergauge.studies.study_settings import StudiedModel

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


def named(model: StudiedModel) -> str:
    """A model's name in tables, with its precision where the study asks for one."""
    return model.name if model.precision == "auto" else f"{model.name}, {model.precision}"


def condition_row(name: str, condition: ConditionResult) -> dict[str, Cell]:
    """A condition's cells for `CONDITION_COLUMNS`."""
    return {
        "model": name,
        "block": condition.block,
        "depth": condition.depth,
        "dose": condition.dose.raw,
        "relative": condition.dose.relative,
        "refusal": condition.effect,
        "garbled": condition.garbled,
        "normal": condition.normal,
    }


def best_of(result: GaugeResult) -> ConditionResult | None:
    """The condition that the gauge chose, with its rates over all prompts."""
    if result.best is None:
        return None
    return next(condition for condition in result.conditions if condition.id == result.best.condition)


def labels_of(result: GaugeResult, condition: str) -> Labels:
    """Prompt → label of one condition, in the order of the prompts."""
    labels = {one.prompt: one.label for one in result.generations if one.condition == condition}
    return {prompt: labels[prompt] for prompt in result.protocol.prompts if prompt in labels}


def answered(result: GaugeResult) -> list[str]:
    """The prompts that the unsteered model does not refuse."""
    return [prompt for prompt, label in labels_of(result, "unsteered").items() if label is not Label.REFUSAL]


def paired(
    first: tuple[GaugeResult, str], second: tuple[GaugeResult, str], p_adjusted: float | None = None
) -> Comparison:
    """Coherent refusal in two conditions on the prompts that neither unsteered model refuses: exact McNemar.

    Args:
        first: a gauge and the id of one of its conditions.
        second: the reference.
        p_adjusted: after correction for how many comparisons were made.
    """
    common = set(answered(second[0]))
    prompts = [prompt for prompt in answered(first[0]) if prompt in common]
    return compare(labels_of(*first), labels_of(*second), prompts, p_adjusted)


def rate_point(x: float | str, rate: Rate) -> FigurePoint | None:
    """A rate as a point of a figure; None where nothing was measured."""
    return None if rate.rate is None else FigurePoint(x=x, y=rate.rate, low=rate.low, high=rate.high)


def points(points: Sequence[FigurePoint | None]) -> tuple[FigurePoint, ...]:
    """Those that were measured."""
    return tuple(point for point in points if point is not None)
