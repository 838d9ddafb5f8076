"""The operations by their known answers, and what a steering of each does to a model's streams."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from steered import by_definition, example, steered_pass
from steergauge.activations.hooks import capture
from steergauge.directions.methods import METHODS
from steergauge.directions.random import random_unit_vector
from steergauge.models.loading import Model
from steergauge.prompts import study_contrast_set
from steergauge.steering.class_means import class_means
from steergauge.steering.dose import Dose, DoseUnit, Yardsticks
from steergauge.steering.intervention import Intervention
from steergauge.steering.operation import Operation, rotation
from steergauge.steering.steering import Steering, ablation, steer, unsteered
from tiny import BLOCKS

Models = Callable[[str], Model]
WIDTH = 12
PROMPTS = ["Tell me a joke", "How do I bake a good chocolate cake at home for my friends?", "Hello", "Hi"]

seeds = st.integers(0, 2**32 - 1)
scales = st.floats(1e-3, 1e4)


def drawn(seed: int, scale: float, tokens: int = 5) -> Tensor:
    """Streams of one row, (tokens, width)."""
    rng = np.random.default_rng([seed, 1])  # not the numbers of the vector
    return torch.from_numpy((scale * rng.normal(size=(tokens, WIDTH))).astype(np.float32))


def one(operation: Operation, amount: float, seed: int) -> Steering:
    amount = 0.0 if operation is Operation.ABLATE else amount
    return Steering(random_unit_vector(WIDTH, seed), np.array([amount]), 0, operation)


def moved(steering: Steering, streams: Tensor) -> Tensor:
    return streams + Intervention([steering], "cpu").change(0, streams[None])[0]


@given(seeds, scales, st.floats(-3, 3), st.sampled_from(Operation))
def test_each_operation_is_its_formula(seed: int, scale: float, share: float, operation: Operation) -> None:
    steering, streams = one(operation, share * scale, seed), drawn(seed, scale)
    expected = by_definition(
        operation, torch.from_numpy(steering.vector).double(), share * scale, streams.double()
    )
    torch.testing.assert_close(moved(steering, streams).double(), expected, rtol=1e-4, atol=2e-5 * scale)


@given(seeds, scales)
def test_what_is_ablated_has_no_component_left_and_ablating_it_again_changes_nothing(
    seed: int, scale: float
) -> None:
    steering = ablation(random_unit_vector(WIDTH, seed), 1)
    once = moved(steering, drawn(seed, scale))
    assert (once @ torch.from_numpy(steering.vector)).abs().max() < 2e-6 * scale
    torch.testing.assert_close(moved(steering, once), once, rtol=0, atol=2e-6 * scale)


@given(seeds, scales, st.floats(-1, 1))
def test_a_turn_keeps_the_norm_and_moves_the_component_by_what_was_asked(
    seed: int, scale: float, share: float
) -> None:
    streams = drawn(seed, scale)
    unit = torch.from_numpy(random_unit_vector(WIDTH, seed))
    room = float((streams.norm(dim=1) - (streams @ unit).abs()).min())  # before any stream meets its pole
    amount = share * room
    after = moved(one(Operation.ROTATE, amount, seed), streams)
    torch.testing.assert_close(after.norm(dim=1), streams.norm(dim=1), rtol=1e-5, atol=0)
    torch.testing.assert_close(
        after @ unit - streams @ unit, torch.full((5,), amount), rtol=0, atol=1e-5 * scale
    )
    # In the plane of the stream and the vector: what is across both stays across.
    basis = torch.linalg.qr(torch.stack([unit, streams[0]], dim=1)).Q
    assert (after[0] - basis @ (basis.T @ after[0])).norm() < 1e-4 * scale


@given(seeds, scales, st.sampled_from([-1, 1]))
def test_a_turn_past_the_vector_ends_on_it(seed: int, scale: float, sign: int) -> None:
    streams = drawn(seed, scale)
    steering = one(Operation.ROTATE, sign * 100 * scale, seed)
    pole = sign * streams.norm(dim=1)[:, None] * torch.from_numpy(steering.vector)
    torch.testing.assert_close(moved(steering, streams), pole, rtol=1e-4, atol=1e-4 * scale)


@given(seeds, scales)
def test_a_turn_of_0_leaves_every_bit(seed: int, scale: float) -> None:
    streams = drawn(seed, scale)
    turned = rotation(streams[None], torch.from_numpy(random_unit_vector(WIDTH, seed))[None], torch.zeros(1))
    assert not turned.any()


@pytest.mark.parametrize("along", [0.0, 3.0, -3.0, 1e4])
@pytest.mark.parametrize("amount", [-1.0, 1.0])
def test_a_stream_along_the_vector_has_no_plane_to_turn_in_and_stays(along: float, amount: float) -> None:
    unit = torch.from_numpy(random_unit_vector(WIDTH, 0))
    assert not rotation((along * unit)[None, None], unit[None], torch.tensor([amount])).any()


@pytest.mark.parametrize("first_block", [0, 2])
@pytest.mark.parametrize("method", ["dim", "pca_center"])
def test_affine_takes_every_class_to_the_negative_mean_at_0_and_to_the_positive_at_1(
    method: str, first_block: int, tiny_model: Models
) -> None:
    model, contrast = tiny_model("llama"), study_contrast_set()
    positive, negative = (
        capture(model, prompts).at(-1) for prompts in (contrast.positive, contrast.negative)
    )
    direction = METHODS[method](positive, negative)
    measures = Yardsticks(direction, np.ones(BLOCKS), negative, class_means(positive, negative))
    unit = torch.from_numpy(direction.vectors[first_block])
    for dose, to in ((0.0, negative), (1.0, positive)):
        steering = steer(Dose(dose, DoseUnit.SEPARATION), first_block, measures, operation=Operation.AFFINE)
        for block in range(first_block, BLOCKS):
            target = float((to[:, block] @ direction.vectors[first_block]).mean())
            for readings in (positive, negative):
                streams = torch.from_numpy(readings[:, block])
                after = streams + Intervention([steering], "cpu").change(block, streams[None])[0]
                scale = float(streams.abs().max())
                torch.testing.assert_close(
                    after @ unit, torch.full((len(streams),), target), rtol=0, atol=1e-5 * scale
                )
                across = (after - streams) - ((after - streams) @ unit)[:, None] * unit
                assert across.abs().max() < 1e-5 * scale
    whole = steer(Dose(0.7, DoseUnit.SEPARATION), first_block, measures, operation=Operation.AFFINE)
    mean = torch.from_numpy(negative[:, first_block].mean(axis=0))
    shift = Intervention([whole], "cpu").change(first_block, mean[None, None])[0, 0]
    difference = positive[:, first_block].mean(axis=0) - negative[:, first_block].mean(axis=0)
    if method == "dim":  # along Δ, c·Δ is what is added to the negative mean
        np.testing.assert_allclose(shift, 0.7 * difference, atol=1e-4)


@pytest.mark.parametrize("operation", Operation)
def test_one_block_or_a_range_is_all_that_is_touched(operation: Operation, tiny_model: Models) -> None:
    model = tiny_model("llama")
    unedited = [unsteered(BLOCKS, model.blocks.width)] * len(PROMPTS)
    before = steered_pass(model, PROMPTS, unedited).streams
    for first, last in ((1, 1), (0, 2), (3, 3)):
        coefficients = [0.0] * BLOCKS if operation is Operation.ABLATE else [1.5] * BLOCKS
        steering = Steering(
            random_unit_vector(model.blocks.width, 1), np.array(coefficients), first, operation, last
        )
        unit = torch.from_numpy(steering.vector)
        after = steered_pass(model, PROMPTS, [steering] * len(PROMPTS)).streams
        assert torch.equal(after[:first], before[:first])
        for row in range(len(PROMPTS)):
            expected = by_definition(operation, unit, coefficients[first], before[first, row])
            torch.testing.assert_close(after[first, row], expected, rtol=1e-4, atol=1e-4)
        change = Intervention([steering], "cpu")
        for block in range(BLOCKS):
            touched = bool(change.change(block, before[block, :1]).any())
            assert touched == (first <= block <= last)


def test_a_row_that_turns_leaves_the_bits_of_rows_that_do_not(tiny_model: Models) -> None:
    model = tiny_model("llama")
    added, turned = example(model, 1, 2.0, Operation.ADD, 0), example(model, 0, 2.0, Operation.ROTATE, 1)
    none = unsteered(BLOCKS, model.blocks.width)
    alone = steered_pass(model, PROMPTS, [added, none, added, none])
    beside = steered_pass(model, PROMPTS, [added, none, added, turned])
    assert torch.equal(beside.streams[:, :3], alone.streams[:, :3])
    assert not torch.allclose(beside.streams[0, 3], alone.streams[0, 3])


def test_an_ablation_to_somewhere_else_than_0_is_refused() -> None:
    with pytest.raises(ValueError, match="other than 0"):
        replace(ablation(random_unit_vector(WIDTH, 0), 3), coefficients=np.ones(3))


def test_a_turn_of_0_is_the_control_and_an_ablation_is_not() -> None:
    vector = random_unit_vector(WIDTH, 0)
    turned = Steering(vector, np.zeros(3), 1, Operation.ROTATE)
    assert turned.changes_nothing
    assert turned.identity() == unsteered(3, WIDTH).identity()
    assert not ablation(vector, 3).changes_nothing
    assert ablation(vector, 3).identity() != ablation(vector, 3, first_block=1).identity()
    assert replace(turned, coefficients=np.ones(3)).identity()["operation"] == "rotate"
