"""Samples as a table and as a figure."""

from collections.abc import Sequence

from steergauge.judging.label import Label
from steergauge.studies.experiments.sampled import BEST, CONTROL, Sampled
from steergauge.studies.study_result import (
    Cell,
    Column,
    ColumnKind,
    FigurePoint,
    Series,
    StudyFigure,
    StudyTable,
)


def sampling_table(sampled: Sequence[Sampled], samples: int) -> StudyTable:
    """A row a model, condition and temperature.

    Args:
        sampled: all of them.
        samples: of each prompt.
    """
    rows: list[dict[str, Cell]] = [
        {
            "model": one.model.label,
            "condition": one.condition,
            "temperature": one.temperature,
            "prompts": len(one.samples),
            "greedy": one.greedy_rate,
            "refusal": one.rate(Label.REFUSAL),
            "garbled": one.rate(Label.GARBLED),
            "difference": one.difference,
            "steady": one.steady,
        }
        for one in sampled
    ]
    return StudyTable(
        name="sampling",
        title=f"Greedy against sampled, {samples} samples a prompt",
        columns=(
            Column(key="model", title="Model"),
            Column(key="condition", title="Condition"),
            Column(key="temperature", title="Temperature", kind=ColumnKind.NUMBER),
            Column(key="prompts", title="Prompts", kind=ColumnKind.NUMBER),
            Column(key="greedy", title="Greedy refusal", kind=ColumnKind.SHARE),
            Column(key="refusal", title="Sampled refusal", kind=ColumnKind.SHARE),
            Column(key="garbled", title="Sampled garbled", kind=ColumnKind.SHARE),
            Column(key="difference", title="Sampled − greedy, points", kind=ColumnKind.POINTS),
            Column(key="steady", title="Prompts with one label", kind=ColumnKind.SHARE),
        ),
        rows=tuple(rows),
        notes=(
            "Intervals are from resampling prompts with all their samples: samples of one prompt are not independent. "
            "Only prompts that the unsteered model answers greedily count. The condition was chosen by greedy outputs of half "
            "of them, so the differences lean against sampling.",
            "The samples are in the store, under the condition's name with their temperature: `steergauge export` writes them.",
        ),
    )


def sampling_figure(sampled: Sequence[Sampled]) -> StudyFigure:
    """Coherent refusal by temperature, a series a model and condition."""
    series = []
    for model in dict.fromkeys(one.model.label for one in sampled):
        for condition in (BEST, CONTROL):
            own = [one for one in sampled if one.model.label == model and one.condition == condition]
            if not own:
                continue
            found = [FigurePoint(x=0.0, y=own[0].greedy_rate)]
            for one in own:
                share = one.rate(Label.REFUSAL)
                assert share.value is not None
                found.append(FigurePoint(x=one.temperature, y=share.value, low=share.low, high=share.high))
            series.append(Series(name=f"{model}, {condition}", points=tuple(found)))
    return StudyFigure(
        name="sampling",
        title="Coherent refusal by temperature; 0 is greedy",
        x_label="temperature",
        y_label="share of samples",
        series=tuple(series),
    )
