"""The class difference taken apart, as tables and figures."""

from collections.abc import Iterable, Sequence

from steergauge.directions.rank_by_block import RankStatistic
from steergauge.statistics.proportions import wilson_interval
from steergauge.studies.experiments.conditions import points, rate_point
from steergauge.studies.experiments.ranked import Ranked
from steergauge.studies.study_result import (
    OUTPUTS,
    Cell,
    Column,
    ColumnKind,
    Estimate,
    FigurePoint,
    Series,
    StudyFigure,
    StudyTable,
    outputs_of,
)


def rank_table(ranks: Sequence[Ranked]) -> StudyTable:
    """A row a model: how many directions, how low a rank, and what held-out pairs show with some taken out."""
    rows: list[dict[str, Cell]] = []
    for one in ranks:
        row: dict[str, Cell] = {
            "model": one.model.label,
            "size": one.model.billions,
            "block": one.parts.block,
            "pairs": one.parts.by_block.pairs,
            "beyond": one.parts.at_block.beyond_chance,
        }
        for statistic in (RankStatistic.FIRST_SHARE, RankStatistic.ENTROPY_RANK):
            at = one.parts.by_block.at(statistic, one.parts.block)
            row[statistic.value] = Estimate(value=at.value, low=at.low, high=at.high)
            row[f"{statistic.value}_baseline"] = at.baseline
        for residual in one.parts.residual:
            right = float(residual.right[one.parts.block])
            low, high = wilson_interval(int(right), residual.pairs)  # of what came out even, half is right
            row[f"auc_{residual.removed}"] = Estimate(value=right / residual.pairs, low=low, high=high)
        rows.append(row)
    most = max(len(one.parts.residual) for one in ranks)
    return StudyTable(
        name="rank",
        title="The class difference taken apart, at one block",
        columns=(
            Column(key="model", title="Model"),
            Column(key="size", title="Parameters, billions", kind=ColumnKind.NUMBER),
            Column(key="block", title="Block", kind=ColumnKind.NUMBER),
            Column(key="pairs", title="Pairs", kind=ColumnKind.NUMBER),
            Column(key="beyond", title="Directions beyond chance", kind=ColumnKind.NUMBER),
            Column(key="first_share", title="Explained by the first", kind=ColumnKind.SHARE),
            Column(key="first_share_baseline", title="among negative prompts", kind=ColumnKind.SHARE),
            Column(key="entropy_rank", title="Effective rank", kind=ColumnKind.NUMBER),
            Column(key="entropy_rank_baseline", title="among negative prompts", kind=ColumnKind.NUMBER),
            *(
                Column(
                    key=f"auc_{removed}",
                    title="Held-out pairs told apart" if removed == 0 else f"with {removed} taken out",
                    kind=ColumnKind.SHARE,
                )
                for removed in range(most)
            ),
        ),
        rows=tuple(rows),
        notes=(
            "Directions beyond chance: the first by swapping the labels of pairs, further ones against what the negative "
            "prompts differ by, each at .05, in order to the first that does not reject. Effective rank: exp of the "
            "entropy of the shares of variance.",
        ),
    )


def steered_table(ranks: Sequence[Ranked]) -> StudyTable:
    """A row a direction and dose."""
    rows: list[dict[str, Cell]] = [
        {
            "model": one.model.label,
            "direction": condition.method,
            "block": condition.block,
            "dose": condition.dose.raw,
            "relative": condition.dose.relative,
            "refusal": condition.effect,
            "garbled": condition.garbled,
            "p": condition.against_unsteered.p_adjusted,
            OUTPUTS: outputs_of(one.model.label, condition.id),
        }
        for one in ranks
        for condition in one.result.conditions
    ]
    return StudyTable(
        name="steered",
        title="Coherent refusal by the k-th direction",
        columns=(
            Column(key="model", title="Model"),
            Column(key="direction", title="Direction"),
            Column(key="block", title="Block", kind=ColumnKind.NUMBER),
            Column(key="dose", title="α", kind=ColumnKind.NUMBER),
            Column(key="relative", title="α / R", kind=ColumnKind.NUMBER),
            Column(key="refusal", title="Coherent refusal", kind=ColumnKind.RATE),
            Column(key="garbled", title="Garbled", kind=ColumnKind.RATE),
            Column(key="p", title="p against unsteered, Holm", kind=ColumnKind.P_VALUE),
        ),
        rows=tuple(rows),
        notes=(
            "Coherent refusal is of the prompts that the unsteered model answers. A later direction that steers is evidence "
            "of several only where more than one is beyond chance: it holds some of what the first has missed.",
        ),
    )


def rank_figure(ranks: Sequence[Ranked]) -> StudyFigure:
    """Effective rank by depth, a series a model."""
    return StudyFigure(
        name="rank",
        title="Effective rank of the class difference by depth",
        x_label="depth, block / number of blocks",
        y_label="effective rank",
        series=tuple(
            Series(
                name=one.model.label,
                points=tuple(
                    FigurePoint(x=block / blocks, y=at.value, low=at.low, high=at.high)
                    for block in range(blocks)
                    for at in [one.parts.by_block.at(RankStatistic.ENTROPY_RANK, block)]
                ),
            )
            for one in ranks
            for blocks in [one.result.model.blocks]
        ),
        share=False,
    )


def steered_figure(ranks: Sequence[Ranked]) -> StudyFigure:
    """The best rate of each direction, a series a model."""

    def strongest(one: Ranked, method: str) -> FigurePoint | None:
        conditions = [condition for condition in one.result.conditions if condition.method == method]
        best = max(conditions, key=lambda condition: condition.effect.rate or 0.0)
        return rate_point(method, best.effect)

    return StudyFigure(
        name="steered",
        title="Coherent refusal by the k-th direction, at the dose that refuses most",
        x_label="direction",
        y_label="share of prompts",
        series=tuple(
            Series(
                name=one.model.label,
                points=points([strongest(one, method) for method in _methods(one)]),
            )
            for one in ranks
        ),
    )


def _methods(one: Ranked) -> Iterable[str]:
    return dict.fromkeys(condition.method for condition in one.result.conditions)
