"""Blocks, doses and conditions: what a grid comes to on one model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steergauge.directions.direction import direction_from_differences
from steergauge.directions.head_direction import HeadDirection
from steergauge.errors import SteergaugeError
from steergauge.models.catalog import catalog
from steergauge.steering.dose import DoseUnit, Yardsticks
from steergauge.steering.head_steering import HeadSteering
from steergauge.steering.operation import Operation
from steergauge.steering.steering import Steering
from steergauge.studies.plan import block_at, choose_doses, plan_conditions
from steergauge.studies.settings import GaugeSettings

NORMS = np.array([10.0, 20.0, 40.0, 80.0])


def yardsticks(blocks: int = 10, width: int = 5) -> Yardsticks:
    rng = np.random.default_rng(3)
    direction = direction_from_differences("dim", rng.normal(size=(blocks, width)))
    streams = rng.normal(size=(7, blocks, width)).astype(np.float32)
    return Yardsticks(direction, np.linspace(5, 9, blocks), streams)


def test_28_blocks_at_the_studys_depths_are_blocks_14_16_and_19() -> None:
    assert [block_at(depth, 28) for depth in (0.5, 0.6, 0.7)] == [14, 16, 19]


def test_a_depth_that_binary_cannot_write_is_not_a_block_early() -> None:
    assert [block_at(depth, 10) for depth in (0.3, 0.6, 0.7)] == [3, 6, 7]
    assert block_at(0.29, 100) == 29  # 28.999999999999996


@given(block=st.integers(0, 199), more=st.integers(1, 200))
def test_the_depth_of_a_block_is_that_block(block: int, more: int) -> None:
    blocks = block + more
    assert block_at(block / blocks, blocks) == block


def test_every_default_depth_is_a_block_of_every_known_model() -> None:
    depths = GaugeSettings().depths
    for entry in catalog().values():
        blocks = [block_at(depth, entry.blocks) for depth in depths]
        assert blocks == sorted(set(blocks))
        assert 0 <= blocks[0] < blocks[-1] < entry.blocks


def test_the_users_doses_come_first_and_in_order() -> None:
    chosen = choose_doses(GaugeSettings(doses=(3, 1, -2)), catalog()["qwen2.5-7b"], NORMS)
    assert chosen == ((-2.0, 1.0, 3.0), "the user")


def test_a_model_of_the_study_is_swept_around_its_multiplier() -> None:
    chosen = choose_doses(GaugeSettings(), catalog()["qwen2.5-7b"], NORMS)
    assert chosen.values == (5, 10, 15, 20, 25)
    assert chosen.chosen_by == "the study's multiplier for qwen2.5-7b, 15"


@pytest.mark.parametrize("known", [True, False])
def test_any_other_model_is_swept_by_its_residual_norm_at_the_middle_block(known: bool) -> None:
    entry = catalog()["smollm2-135m"] if known else None
    chosen = choose_doses(GaugeSettings(), entry, NORMS)
    assert chosen.values == (1, 2, 4, 8, 12)
    assert chosen.chosen_by == "the residual norm at the middle block, 40"


def test_chosen_doses_have_two_digits() -> None:
    chosen = choose_doses(GaugeSettings(), None, NORMS * 1.2345)
    assert chosen.values == (1.2, 2.5, 4.9, 9.9, 15)


@pytest.mark.parametrize("unit", [DoseUnit.RELATIVE, DoseUnit.SEPARATION])
def test_units_that_fit_every_model_have_a_grid_whatever_the_model(unit: DoseUnit) -> None:
    one = choose_doses(GaugeSettings(unit=unit), catalog()["qwen2.5-7b"], NORMS)
    other = choose_doses(GaugeSettings(unit=unit), None, NORMS * 7)
    assert one == other
    assert one.values == tuple(sorted(one.values))
    assert unit in one.chosen_by


def test_the_grid_is_every_block_with_every_dose_in_order() -> None:
    planned = plan_conditions(GaugeSettings(), [7, 3], (1.0, 2.0), {"dim": yardsticks()})
    assert [(one.block, one.dose.value) for one in planned] == [(3, 1), (3, 2), (7, 1), (7, 2)]
    for one in planned:
        assert isinstance(one.steering, Steering)
        assert one.steering.first_block == one.block
        assert one.steering.operation is Operation.ADD
        np.testing.assert_array_equal(
            one.steering.coefficients, np.where(np.arange(10) >= one.block, one.dose.value, 0)
        )
        np.testing.assert_array_equal(one.steering.vector, yardsticks().direction.vectors[one.block])


def test_every_condition_is_steered_by_the_operation_at_the_blocks_and_positions_of_the_settings() -> None:
    settings = GaugeSettings(depths=(0.3, 0.7), operation="rotate", blocks="one", positions="last")
    for one in plan_conditions(settings, [3, 7], (1.0, 2.0), {"dim": yardsticks()}):
        steering = one.steering
        assert isinstance(steering, Steering)
        assert (steering.operation, steering.positions) == ("rotate", "last")
        assert list(steering.blocks) == [one.block]
        assert np.flatnonzero(steering.coefficients).tolist() == [one.block]


def test_blocks_that_fall_together_are_one() -> None:
    planned = plan_conditions(GaugeSettings(), [7, 5, 5], (1.0,), {"dim": yardsticks()})
    assert [one.block for one in planned] == [5, 7]


def test_heads_have_doses_of_their_own_in_their_own_unit_and_random_controls_of_their_lengths() -> None:
    vectors = np.zeros((10, 2, 3), dtype=np.float32)
    vectors[4:7, :, 0] = 1.0
    spreads = np.where(vectors.any(axis=-1), 0.5, 0.0)
    heads = HeadDirection(vectors, spreads, accuracies=spreads, losses=spreads)
    settings = GaugeSettings(head_doses=(8, 2))
    *stream, small, large = plan_conditions(settings, [5, 8], (1.0,), {"dim": yardsticks()}, heads)
    assert [one.method for one in stream] == ["dim", "dim"]  # from block 8 on no head has a direction
    assert [small.id, large.id] == ["iti-block5-sigma2", "iti-block5-sigma8"]
    assert (small.largest_addition, large.largest_addition) == (1.0, 4.0)
    drawn, steering = large.along_random(seed=3), large.steering
    assert isinstance(drawn, HeadSteering)
    assert isinstance(steering, HeadSteering)
    lengths = np.linalg.norm(drawn.additions, axis=-1)
    assert np.allclose(lengths, np.linalg.norm(steering.additions, axis=-1))
    assert not np.allclose(drawn.additions, steering.additions)


@given(
    doses=st.lists(
        st.floats(-1e6, 1e6, allow_nan=False).filter(lambda value: value != 0),
        min_size=2,
        max_size=6,
        unique=True,
    )
)
def test_no_two_conditions_have_the_same_id(doses: list[float]) -> None:
    measures = {"dim": yardsticks(), "other": yardsticks()}
    planned = plan_conditions(GaugeSettings(), [2, 5], tuple(doses), measures)
    assert len({one.id for one in planned}) == len(planned) == 4 * len(doses)


def test_doses_that_agree_in_six_digits_have_their_own_ids() -> None:
    doses = (1.0000001, 1.0000002, 1.5)
    planned = plan_conditions(GaugeSettings(), [5], doses, {"dim": yardsticks()})
    ids = [one.id for one in planned]
    assert ids == ["dim-block5-raw1.0000001", "dim-block5-raw1.0000002", "dim-block5-raw1.5"]


def test_a_dose_that_is_not_finite_is_refused() -> None:
    with pytest.raises(SteergaugeError, match="finite number"):
        plan_conditions(GaugeSettings(), [5], (float("inf"),), {"dim": yardsticks()})
