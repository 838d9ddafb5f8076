"""The extraction study's tables and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.stability import ROBUST_COSINE
from steergauge.statistics.comparisons import adjust_holm
from steergauge.studies.experiments.conditions import paired, points, rate_point
from steergauge.studies.experiments.contrast_subsets import SizeCosines, Subset
from steergauge.studies.measurements import Comparison, ConditionResult
from steergauge.studies.plan import block_at
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_result import (
    Cell,
    Column,
    ColumnKind,
    Estimate,
    FigurePoint,
    Series,
    StudyFigure,
    StudyTable,
)

_MODEL = Column(key="model", title="Model")


@dataclass(frozen=True, eq=False)
class Measured:
    """One model: every subset's direction, and what it refuses at the same block and dose.

    Attributes:
        steered: a gauge a subset, the whole first set's first.
        without_direction: why the others could not be steered with.
        cosines: of a subset's direction with the whole first set's, (blocks,).
        own_cosines: with that of the whole set that it is of.
        by_size: of random subsets.
    """

    model: str
    steered: Mapping[Subset, GaugeResult]
    without_direction: Mapping[Subset, str]
    cosines: Mapping[Subset, NDArray[np.float64]]
    own_cosines: Mapping[Subset, NDArray[np.float64]]
    by_size: Sequence[SizeCosines]

    @property
    def first(self) -> Subset:
        """The whole first set."""
        return next(iter(self.steered))

    @property
    def whole(self) -> GaugeResult:
        """Its gauge."""
        return self.steered[self.first]

    @property
    def block(self) -> int:
        """The first steered block."""
        return condition_of(self.whole).block

    @cached_property
    def compared(self) -> dict[Subset, Comparison]:
        """Every other subset paired with the whole first set, with Holm's correction over all of them."""
        others = [one for one in self.steered if one != self.first]
        reference = self.whole, condition_of(self.whole).id
        found = [paired((self.steered[one], condition_of(self.steered[one]).id), reference) for one in others]
        adjusted = adjust_holm([one.p_value for one in found])
        return {
            subset: one.model_copy(update={"p_adjusted": p})
            for subset, one, p in zip(others, found, adjusted, strict=True)
        }


def condition_of(result: GaugeResult) -> ConditionResult:
    """The one condition of its grid."""
    (condition,) = result.conditions
    return condition


def effects_table(measured: Sequence[Measured]) -> StudyTable:
    """What every subset's direction refuses, and how alike it is to the whole sets'."""
    rows: list[dict[str, Cell]] = []
    for one in measured:
        for subset, result in one.steered.items():
            condition, compared = condition_of(result), one.compared.get(subset)
            row = _subset_row(one, subset) | {
                "cosine": float(one.cosines[subset][one.block]),
                "own": float(one.own_cosines[subset][one.block]),
                "refusal": condition.effect,
                "garbled": condition.garbled,
            }
            if compared is not None:
                row |= {
                    "difference": Estimate(value=compared.difference, low=compared.low, high=compared.high),
                    "p": compared.p_value,
                    "p_adjusted": compared.p_adjusted,
                }
            rows.append(row)
        rows += [
            _subset_row(one, subset) | {"reason": reason} for subset, reason in one.without_direction.items()
        ]
    return StudyTable(
        name="subsets",
        title="Directions of other contrast prompts, at the same block and dose",
        columns=(
            _MODEL,
            Column(key="subset", title="Contrast set"),
            Column(key="kind", title="What it is"),
            Column(key="pairs", title="Pairs", kind=ColumnKind.NUMBER),
            Column(key="block", title="Block", kind=ColumnKind.NUMBER),
            Column(key="cosine", title="Cosine with the first set", kind=ColumnKind.COSINE),
            Column(key="own", title="with its whole set", kind=ColumnKind.COSINE),
            Column(key="refusal", title="Coherent refusal", kind=ColumnKind.RATE),
            Column(key="garbled", title="Garbled", kind=ColumnKind.RATE),
            Column(key="difference", title="Against the first set, points", kind=ColumnKind.POINTS),
            Column(key="p", title="p, exact McNemar", kind=ColumnKind.P_VALUE),
            Column(key="p_adjusted", title="p, Holm", kind=ColumnKind.P_VALUE),
            Column(key="reason", title="No direction because"),
        ),
        rows=tuple(rows),
        notes=(
            "Of the prompts that the unsteered model answers. Fewer pairs are drawn at random, each size within the next. "
            "Holm's correction is over a model's subsets.",
        ),
    )


def _subset_row(one: Measured, subset: Subset) -> dict[str, Cell]:
    return {
        "model": one.model,
        "subset": subset.name,
        "kind": subset.kind.value,
        "pairs": len(subset.pairs),
        "block": one.block,
    }


def cosines_table(measured: Sequence[Measured]) -> StudyTable:
    """Cosines with the whole first set's direction at every tenth of the depth, and after the last block."""
    rows: list[dict[str, Cell]] = []
    for one in measured:
        for subset, cosines in one.cosines.items():
            row: dict[str, Cell] = {"model": one.model, "subset": subset.name}
            row |= {
                f"{10 * tenth}%": float(cosines[block_at(tenth / 10, len(cosines))]) for tenth in range(10)
            }
            rows.append({**row, "last": float(cosines[-1]), "lowest": float(cosines.min())})
    depths = [f"{10 * tenth}%" for tenth in range(10)]
    return StudyTable(
        name="cosines",
        title="Cosine with the first set's direction, by depth",
        columns=(
            _MODEL,
            Column(key="subset", title="Contrast set"),
            *(Column(key=depth, title=depth, kind=ColumnKind.COSINE) for depth in depths),
            Column(key="last", title="Last block", kind=ColumnKind.COSINE),
            Column(key="lowest", title="Lowest of all blocks", kind=ColumnKind.COSINE),
        ),
        rows=tuple(rows),
    )


def sizes_table(measured: Sequence[Measured]) -> StudyTable:
    """Random subsets against their own whole set, at the steered block."""
    rows: list[dict[str, Cell]] = [
        {
            "model": one.model,
            "set": found.contrast_set,
            "size": found.size,
            "cosine": _spread(found, one.block),
            "degenerate": found.degenerate,
        }
        for one in measured
        for found in one.by_size
    ]
    return StudyTable(
        name="sizes",
        title="Cosine of random subsets with their whole set, at the steered block",
        columns=(
            _MODEL,
            Column(key="set", title="Contrast set"),
            Column(key="size", title="Pairs", kind=ColumnKind.NUMBER),
            Column(key="cosine", title="Median cosine", kind=ColumnKind.COSINE),
            Column(key="degenerate", title="Draws without a direction", kind=ColumnKind.NUMBER),
        ),
        rows=tuple(rows),
        notes=(
            "In brackets 95% of the draws. A subset shares its prompts with the whole set, so these are no cosines of independent sets.",
        ),
    )


def _spread(found: SizeCosines, block: int) -> Estimate:
    low, median, high = np.quantile(found.cosines[:, block], (0.025, 0.5, 0.975)).tolist()
    return Estimate(value=median, low=low, high=high)


def refusals_figure(measured: Sequence[Measured]) -> StudyFigure:
    """Coherent refusal by contrast set, one series a model."""
    return StudyFigure(
        name="subsets",
        title="Coherent refusal by contrast set, at the same block and dose",
        x_label="contrast set",
        y_label="share of prompts",
        series=tuple(
            Series(
                name=f"{one.model}, block {one.block}",
                points=points(
                    [
                        rate_point(subset.name, condition_of(result).effect)
                        for subset, result in one.steered.items()
                    ]
                ),
            )
            for one in measured
        ),
    )


def sizes_figure(measured: Sequence[Measured]) -> StudyFigure:
    """Cosines of random subsets by how many pairs they have."""
    series = []
    for one in measured:
        for name in dict.fromkeys(found.contrast_set for found in one.by_size):
            spreads = {
                found.size: _spread(found, one.block) for found in one.by_size if found.contrast_set == name
            }
            series.append(
                Series(
                    name=f"{one.model}, {name}",
                    points=tuple(
                        FigurePoint(x=size, y=spread.value, low=spread.low, high=spread.high)
                        for size, spread in spreads.items()
                        if spread.value is not None
                    ),
                )
            )
    return StudyFigure(
        name="sizes",
        title="Cosine of random subsets with their whole set, at the steered block",
        x_label="pairs",
        y_label="median cosine, and 95% of the draws",
        series=tuple(series),
        share=False,
        logarithmic=True,
        threshold=ROBUST_COSINE,
    )
