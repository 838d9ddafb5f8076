"""Methods side by side: each at its own best and at a selected block, on the same held-out prompts."""

import numpy as np
import pytest
from records import PROMPTS, condition, labels
from scipy.stats import binomtest

from steergauge.directions.direction import Direction
from steergauge.statistics.comparisons import adjust_holm
from steergauge.studies.measurements import ConditionResult
from steergauge.studies.side_by_side import SideBySide, side_by_side

UNSTEERED = labels(PROMPTS, refused=PROMPTS[:4])
ANSWERED = PROMPTS[4:]


def of(method: str, block: int) -> ConditionResult:
    return condition(f"{method}-{block}", block=block).model_copy(update={"method": method})


def direction(*vector: float) -> Direction:
    unit = np.array(vector) / np.linalg.norm(vector)
    return Direction("some", np.stack([unit] * 6).astype(np.float32), np.ones(6))


def compared() -> SideBySide:
    """dim refuses all at block 2 and none at 4; weak refuses none at 2 and half at 4; cosmic as dim."""
    outcomes = {
        "dim-2": ANSWERED, "dim-4": [],
        "weak-2": [], "weak-4": ANSWERED[::2],
        "cosmic-2": ANSWERED, "cosmic-4": [],
    }  # fmt: skip
    found = side_by_side(
        [of(name.split("-")[0], int(name[-1])) for name in outcomes],
        labels={name: labels(PROMPTS, refused) for name, refused in outcomes.items()},
        unsteered=UNSTEERED,
        directions={"dim": direction(1, 0), "weak": direction(3, 4), "cosmic": direction(-1, 0)},
        selected={"cosmic": 4},
        seed=0,
    )
    assert found
    return found


def test_each_method_is_at_its_own_best_block_and_all_are_on_the_same_prompts() -> None:
    found = compared()
    assert [(one.best.method, one.best.block) for one in found.own_best] == [
        ("dim", 2),
        ("weak", 4),
        ("cosmic", 2),
    ]
    assert len({tuple(one.best.reporting_prompts) for one in found.own_best}) == 1
    assert found.own_best[0].against_first is None


def test_a_method_is_compared_with_the_first_in_pairs_and_corrected_for_their_number() -> None:
    weak, cosmic = (one.against_first for one in compared().own_best[1:])
    assert weak
    assert cosmic
    reporting = compared().own_best[0].best.reporting_prompts
    missed = len([prompt for prompt in reporting if prompt not in ANSWERED[::2]])
    assert (weak.gained, weak.lost) == (0, missed)
    assert weak.p_value == pytest.approx(binomtest(0, missed).pvalue)
    assert [weak.p_adjusted, cosmic.p_adjusted] == pytest.approx(adjust_holm([weak.p_value, 1.0]))


def test_at_a_selected_block_every_method_is_measured_there() -> None:
    (at,) = compared().at_selected
    assert (at.block, at.selected_by) == (4, ["cosmic"])
    assert {
        one.best.method: one.best.reported_on.count for one in at.outcomes if one.best.method != "weak"
    } == {
        "dim": 0,
        "cosmic": 0,
    }
    assert all(one.best.block == 4 for one in at.outcomes)


def test_cosines_are_those_of_the_unit_vectors_at_each_steered_block() -> None:
    cosines = compared().cosines
    assert [here.block for here in cosines] == [2, 4]
    assert cosines[0].methods == ["dim", "weak", "cosmic"]
    assert np.allclose(cosines[0].matrix, [[1, 0.6, -1], [0.6, 1, -0.6], [-1, -0.6, 1]], atol=1e-6)


def test_one_method_has_nothing_beside_it() -> None:
    assert (
        side_by_side(
            [of("dim", 2)],
            labels={"dim-2": labels(PROMPTS, ANSWERED)},
            unsteered=UNSTEERED,
            directions={"dim": direction(1, 0)},
            selected={},
            seed=0,
        )
        is None
    )
