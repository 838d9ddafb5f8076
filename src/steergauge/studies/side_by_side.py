"""Extraction methods side by side: how alike their directions are, and what each of them steers. It touches no model."""

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import Field

from steergauge.directions.direction import Direction
from steergauge.statistics.comparisons import adjust_holm
from steergauge.studies.analysis import Labels, best_condition, compare
from steergauge.studies.measurements import Best, Comparison, ConditionResult, Record


class MethodOutcome(Record):
    """What one method steers at the best of the conditions that were open to it."""

    best: Best = Field(description="Chosen on the choosing half and reported on the other.")
    against_first: Comparison | None = Field(
        description="Paired with the first method's, on the reporting half; Holm over the methods. Null for itself."
    )


class AtSelectedBlock(Record):
    """Every method at a block that a selecting method chose by itself: there the choice of block favours none."""

    block: int = Field(description="The first steered block.")
    selected_by: list[str] = Field(description="The methods that chose it.")
    outcomes: list[MethodOutcome] = Field(description="One entry a method, its best dose at this block.")


class Cosines(Record):
    """How alike the methods' directions are at one block."""

    block: int = Field(description="k, of r_k.")
    methods: list[str] = Field(description="The order of rows and columns.")
    matrix: list[list[float]] = Field(description="Cosines of the methods' unit vectors.")


class SideBySide(Record):
    """Several extraction methods on the same model, prompts and doses."""

    first: str = Field(description="The method that the others are compared with.")
    own_best: list[MethodOutcome] = Field(description="One entry a method, at its own best block and dose.")
    at_selected: list[AtSelectedBlock] = Field(description="One entry a block that a method chose by itself.")
    cosines: list[Cosines] = Field(description="One entry a steered block.")


def side_by_side(
    conditions: Sequence[ConditionResult],
    *,
    labels: Mapping[str, Labels],
    unsteered: Labels,
    directions: Mapping[str, Direction],
    selected: Mapping[str, int],
    seed: int,
) -> SideBySide | None:
    """Compares the methods of a sweep.

    Args:
        conditions: of all methods.
        labels: prompt → label for each condition's id.
        unsteered: prompt → label without steering.
        directions: of the methods that give a direction in the residual stream; these have cosines.
        selected: the block that a selecting method chose, by its name.
        seed: of the prompts' halves, the same for all methods.

    Returns:
        None where there is one method, or too few prompts to choose on.
    """
    methods = list(dict.fromkeys(condition.method for condition in conditions))

    def outcomes(open_to: Sequence[ConditionResult]) -> list[MethodOutcome]:
        best = [
            best_condition([one for one in open_to if one.method == method], labels, unsteered, seed)
            for method in methods
        ]
        chosen = [one for one in best if one is not None]
        return _compared(chosen, labels) if chosen else []

    if len(methods) < 2 or not (own_best := outcomes(conditions)):
        return None
    return SideBySide(
        first=own_best[0].best.method,
        own_best=own_best,
        at_selected=[
            AtSelectedBlock(
                block=block,
                selected_by=[method for method, chosen in selected.items() if chosen == block],
                outcomes=outcomes([one for one in conditions if one.block == block]),
            )
            for block in sorted(set(selected.values()))
        ],
        cosines=[
            _cosines(directions, block) for block in sorted({condition.block for condition in conditions})
        ],
    )


def _compared(bests: Sequence[Best], labels: Mapping[str, Labels]) -> list[MethodOutcome]:
    first, *others = bests
    compared = [
        compare(labels[one.condition], labels[first.condition], first.reporting_prompts) for one in others
    ]
    adjusted = adjust_holm([comparison.p_value for comparison in compared])
    return [
        MethodOutcome(best=first, against_first=None),
        *(
            MethodOutcome(best=one, against_first=comparison.model_copy(update={"p_adjusted": p}))
            for one, comparison, p in zip(others, compared, adjusted, strict=True)
        ),
    ]


def _cosines(directions: Mapping[str, Direction], block: int) -> Cosines:
    vectors = np.stack([direction.vectors[block] for direction in directions.values()]).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Cosines(block=block, methods=list(directions), matrix=(vectors @ vectors.T).tolist())
