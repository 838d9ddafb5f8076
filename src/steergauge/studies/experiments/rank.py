"""How many directions refusal needs, and whether that grows with size (paper, section 9, hypotheses 1 and 3)."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from steergauge.directions.difference_rank import DifferenceRank, difference_rank
from steergauge.directions.direction import Direction
from steergauge.directions.importing import ImportedDirection
from steergauge.directions.rank_by_block import RankByBlock, RankStatistic, rank_by_block
from steergauge.directions.residual import ResidualSeparation, residual_separation
from steergauge.directions.sequence import each_direction
from steergauge.errors import SteergaugeError
from steergauge.studies.bench import Bench
from steergauge.studies.claims import answer
from steergauge.studies.experiments.conditions import cautions_of, named, points, rate_point
from steergauge.studies.experiments.experiment import Work, gauge_work
from steergauge.studies.plan import block_at
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_result import (
    Cell,
    Column,
    ColumnKind,
    Conclusion,
    Estimate,
    FigurePoint,
    Outcome,
    Series,
    StudyFigure,
    StudyFindings,
    StudyTable,
)
from steergauge.studies.study_settings import StudiedModel, StudySettings


class RankSettings(StudySettings):
    """Where the difference is taken apart, and how many of its directions are steered with."""

    depths: tuple[float, ...] = Field(default=(0.5,), min_length=1, max_length=1)
    directions: int = Field(default=3, ge=1, description="Of the sequence, to steer with.")


class _Rank(NamedTuple):
    """One model's class difference, taken apart."""

    model: StudiedModel
    block: int
    at_block: DifferenceRank
    by_block: RankByBlock
    residual: tuple[ResidualSeparation, ...]
    sequence: tuple[Direction, ...]
    result: GaugeResult


class Rank:
    """Is refusal one direction, and less so in larger models?"""

    name = "rank"
    question = "How many directions does the class difference need, and does that grow with size (hypotheses 1 and 3)?"
    settings = RankSettings

    def plan(self, settings: RankSettings) -> list[Work]:
        """A gauge a model, with the sequence's directions beside DIM's."""
        parts = []
        for model in settings.models:
            gauge = settings.gauge_settings(model)
            work = gauge_work(model, "directions of the sequence", gauge)
            more = settings.directions * len(gauge.doses or (1,) * 5)
            parts.append(
                work.model_copy(
                    update={
                        "conditions": work.conditions + more,
                        "generations": work.generations + more * len(gauge.evaluation_set.prompts),
                    }
                )
            )
        return parts

    def run(self, settings: RankSettings, bench: Bench) -> StudyFindings:
        """Takes every model's difference apart, and steers with the parts."""
        ranks = [_take_apart(model, settings, bench) for model in settings.models]
        return StudyFindings(
            tables=(_numbers(ranks), _steered(ranks)),
            figures=(_by_depth(ranks), _by_number(ranks)),
            conclusions=(_fragmentation(ranks), _low_rank(ranks)),
            cautions=(
                "Few pairs show few directions: with n pairs the smallest p value is 2⁻ⁿ, so that five pairs can show one "
                "direction at most. “No second direction shown” is not “one direction only”.",
                *cautions_of({named(one.model): one.result for one in ranks}),
            ),
        )


def _take_apart(model: StudiedModel, settings: RankSettings, bench: Bench) -> _Rank:
    gauge = settings.gauge_settings(model)
    loaded = bench.model(model)
    positive, negative = bench.readings.contrast(loaded, gauge.contrast_set)
    block = block_at(gauge.depths[0], len(loaded.blocks))
    sequence = tuple(_those_found(positive, negative, settings.directions))
    given = {one.method: ImportedDirection(one, "the sequence of the class difference") for one in sequence}
    return _Rank(
        model=model,
        block=block,
        at_block=difference_rank(
            positive[:, block].astype(np.float64),
            negative[:, block].astype(np.float64),
            np.random.default_rng(settings.seed),
        ),
        by_block=rank_by_block(positive, negative, np.random.default_rng(settings.seed)),
        residual=residual_separation(positive, negative, settings.directions),
        sequence=sequence,
        result=bench.gauge(named(model), model, gauge, given),
    )


def _those_found(
    positive: NDArray[np.float32],
    negative: NDArray[np.float32],
    count: int,
) -> Iterable[Direction]:
    """The sequence up to the direction that cannot be found; without a first one there is nothing to study."""
    found = each_direction(positive, negative, count)
    yield next(found)
    try:
        yield from found
    except SteergaugeError:
        return


def _numbers(ranks: Sequence[_Rank]) -> StudyTable:
    rows: list[dict[str, Cell]] = []
    for one in ranks:
        row: dict[str, Cell] = {
            "model": named(one.model),
            "size": one.model.billions,
            "block": one.block,
            "pairs": one.by_block.pairs,
            "beyond": one.at_block.beyond_chance,
        }
        for statistic in (RankStatistic.FIRST_SHARE, RankStatistic.ENTROPY_RANK):
            at = one.by_block.at(statistic, one.block)
            row[statistic.value] = Estimate(value=at.value, low=at.low, high=at.high)
            row[f"{statistic.value}_baseline"] = at.baseline
        for residual in one.residual:
            row[f"auc_{residual.removed}"] = float(residual.auc[one.block])
        rows.append(row)
    most = max(len(one.residual) for one in ranks)
    return StudyTable(
        name="rank",
        title="The class difference taken apart, at the middle block",
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
            "Directions beyond chance: by a swap test against what the negative prompts differ by, each at .05, in order to "
            "the first that does not reject. Effective rank: exp of the entropy of the shares of variance.",
        ),
    )


def _steered(ranks: Sequence[_Rank]) -> StudyTable:
    rows: list[dict[str, Cell]] = [
        {
            "model": named(one.model),
            "direction": condition.method,
            "block": condition.block,
            "dose": condition.dose.raw,
            "relative": condition.dose.relative,
            "refusal": condition.effect,
            "garbled": condition.garbled,
            "p": condition.against_unsteered.p_adjusted,
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
    )


def _by_depth(ranks: Sequence[_Rank]) -> StudyFigure:
    return StudyFigure(
        name="rank",
        title="Effective rank of the class difference by depth",
        x_label="depth, block / number of blocks",
        y_label="effective rank",
        series=tuple(
            Series(
                name=named(one.model),
                points=tuple(
                    FigurePoint(x=block / blocks, y=at.value, low=at.low, high=at.high)
                    for block in range(blocks)
                    for at in [one.by_block.at(RankStatistic.ENTROPY_RANK, block)]
                ),
            )
            for one in ranks
            for blocks in [one.result.model.blocks]
        ),
        share=False,
    )


def _by_number(ranks: Sequence[_Rank]) -> StudyFigure:
    def strongest(one: _Rank, method: str) -> FigurePoint | None:
        conditions = [condition for condition in one.result.conditions if condition.method == method]
        best = max(conditions, key=lambda condition: condition.effect.rate or 0.0)
        return rate_point(method, best.effect)

    return StudyFigure(
        name="steered",
        title="Coherent refusal by the k-th direction, at its best dose",
        x_label="direction",
        y_label="share of prompts",
        series=tuple(
            Series(
                name=named(one.model),
                points=points([strongest(one, method) for method in _methods(one)]),
            )
            for one in ranks
        ),
    )


def _methods(one: _Rank) -> Iterable[str]:
    return dict.fromkeys(condition.method for condition in one.result.conditions)


def _families(ranks: Sequence[_Rank]) -> list[tuple[_Rank, _Rank]]:
    """Neighbours in size within each family, smaller first."""
    grouped: dict[str, list[_Rank]] = {}
    for one in sorted(ranks, key=lambda rank: rank.model.billions or 0.0):
        grouped.setdefault(one.model.family, []).append(one)
    return [pair for members in grouped.values() for pair in pairwise(members)]


def _fragmentation(ranks: Sequence[_Rank]) -> Conclusion:
    neighbours = _families(ranks)
    counts = {named(one.model): one.at_block.beyond_chance for one in ranks}
    said = "Directions beyond chance: " + ", ".join(f"{name} {count}" for name, count in counts.items()) + "."
    if not neighbours or all(
        small.at_block.beyond_chance == large.at_block.beyond_chance == 0 for small, large in neighbours
    ):
        return answer("fragmentation", Outcome.UNDECIDED, said)
    grows = all(small.at_block.beyond_chance < large.at_block.beyond_chance for small, large in neighbours)
    return answer("fragmentation", Outcome.SUPPORTED if grows else Outcome.NOT_SUPPORTED, said)


def _low_rank(ranks: Sequence[_Rank]) -> Conclusion:
    at = {named(one.model): one.by_block.at(RankStatistic.ENTROPY_RANK, one.block) for one in ranks}
    said = "Effective rank: " + ", ".join(
        f"{name} {one.value:.2f} [{one.low:.2f}–{one.high:.2f}]" for name, one in at.items()
    )
    pairs = [(at[named(small.model)], at[named(large.model)]) for small, large in _families(ranks)]
    if pairs and all(small.high < large.low for small, large in pairs):
        return answer("low-rank", Outcome.SUPPORTED, said)
    if pairs and all(large.high < small.low for small, large in pairs):
        return answer("low-rank", Outcome.NOT_SUPPORTED, said)
    return answer("low-rank", Outcome.UNDECIDED, said)
