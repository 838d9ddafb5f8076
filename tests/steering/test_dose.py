import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from steered import steered_pass
from steergauge.activations.hooks import measure_baseline
from steergauge.directions.direction import Direction
from steergauge.directions.methods import METHODS
from steergauge.directions.random import random_unit_vector
from steergauge.errors import SteergaugeError
from steergauge.models.loading import load_model
from steergauge.steering.class_means import class_means
from steergauge.steering.dose import Dose, DoseUnit, Yardsticks, coefficients, equivalents
from steergauge.steering.intervention import Intervention
from steergauge.steering.operation import Operation
from steergauge.steering.positions import Positions
from steergauge.steering.steering import Steering, ablation, same_dose_along, steer, unsteered

BLOCKS, WIDTH = 7, 16
PROMPTS = ["Tell me a joke", "How do I bake a good chocolate cake at home for my friends?", "Hello"]

seeds = st.integers(0, 2**32 - 1)
blocks = st.integers(0, BLOCKS - 1)
sizes = st.floats(0.01, 100) | st.floats(-100, -0.01)
UNITS = [unit for unit in DoseUnit if unit is not DoseUnit.SIGMA]  # those of the stream


def yardsticks(seed: int, residual_norms: NDArray[np.float64] | None = None) -> Yardsticks:
    """A random direction on a random stream, whose norms may fall from one block to the next."""
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(BLOCKS, WIDTH)) + rng.normal(size=WIDTH)  # related from block to block
    vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    norms = rng.uniform(0.5, 50, BLOCKS) if residual_norms is None else residual_norms
    streams = rng.normal(size=(5, BLOCKS, WIDTH)).astype(np.float32)
    return Yardsticks(Direction("test", vectors, rng.uniform(0.5, 20, BLOCKS)), norms, streams)


def values(dose: Dose, first_block: int, measured: Yardsticks) -> NDArray[np.float64]:
    return coefficients(dose, first_block, measured).values


@given(seeds, blocks, sizes, st.sampled_from(UNITS))
def test_nothing_is_added_before_the_first_block(
    seed: int, first_block: int, value: float, unit: DoseUnit
) -> None:
    added = values(Dose(value, unit), first_block, yardsticks(seed))
    assert added.shape == (BLOCKS,)
    assert not added[:first_block].any()
    assert np.isfinite(added).all()


@given(seeds, blocks, sizes, st.sampled_from([DoseUnit.RAW, DoseUnit.CLAMP]))
def test_raw_and_clamp_are_the_number_itself_at_every_block(
    seed: int, first_block: int, value: float, unit: DoseUnit
) -> None:
    assert (values(Dose(value, unit), first_block, yardsticks(seed))[first_block:] == value).all()


@given(st.floats(0.1, 100), sizes, blocks)
def test_relative_doses_on_a_stream_that_grows_by_c_a_block_add_c_times_the_dose(
    growth: float, dose: float, first_block: int
) -> None:
    measured = yardsticks(0, growth * np.arange(BLOCKS, dtype=np.float64))
    added = values(Dose(dose, DoseUnit.RELATIVE), first_block, measured)
    assert added[first_block] == pytest.approx(dose * growth * first_block)
    np.testing.assert_allclose(added[first_block + 1 :], dose * growth, rtol=1e-9)


@given(seeds, blocks, sizes)
def test_the_direct_path_holds_the_same_relative_dose_at_every_block(
    seed: int, first_block: int, dose: float
) -> None:
    norms = np.sort(np.random.default_rng(seed).uniform(0.5, 50, BLOCKS)).astype(np.float64)
    found = coefficients(Dose(dose, DoseUnit.RELATIVE), first_block, yardsticks(seed, norms))
    np.testing.assert_allclose(np.cumsum(found.values)[first_block:], dose * norms[first_block:], rtol=1e-9)
    assert found.clipped == ()


@given(seeds, blocks, sizes)
def test_where_the_stream_shrinks_the_relative_increment_is_clipped_and_said(
    seed: int, first_block: int, dose: float
) -> None:
    measured = yardsticks(seed)
    found = coefficients(Dose(dose, DoseUnit.RELATIVE), first_block, measured)
    assert found.values[first_block] == pytest.approx(dose * measured.residual_norms[first_block])
    shrinking = []
    for block in range(first_block + 1, BLOCKS):
        growth = measured.residual_norms[block] - measured.residual_norms[block - 1]
        if growth < 0:
            shrinking.append(block)
        assert found.values[block] == pytest.approx(dose * max(growth, 0.0))
    assert found.clipped == tuple(shrinking)


@given(seeds, blocks, sizes)
def test_under_separation_the_direct_path_holds_each_blocks_own_difference_along_the_vector(
    seed: int, first_block: int, dose: float
) -> None:
    measured = yardsticks(seed)
    vectors, norms = measured.direction.vectors.astype(np.float64), measured.direction.raw_norms
    found = coefficients(Dose(dose, DoseUnit.SEPARATION), first_block, measured)
    held = 0.0
    for block in range(first_block, BLOCKS):
        held += found.values[block]
        difference = norms[block] * vectors[block]  # Δ_k
        assert held == pytest.approx(dose * (difference @ vectors[first_block]), abs=1e-6 * abs(dose))
    assert found.clipped == ()


@given(seeds, blocks)
def test_one_separation_first_adds_the_whole_difference_in_means(seed: int, first_block: int) -> None:
    measured = yardsticks(seed)
    added = values(Dose(1.0, DoseUnit.SEPARATION), first_block, measured)
    assert added[first_block] == pytest.approx(measured.direction.raw_norms[first_block], rel=1e-6)


@given(seeds, blocks, sizes, st.sampled_from(UNITS), st.sampled_from(UNITS))
def test_a_dose_converted_to_another_unit_and_back_is_the_same_first_addition(
    seed: int, first_block: int, value: float, unit: DoseUnit, other: DoseUnit
) -> None:
    measured = yardsticks(seed)
    dose = Dose(value, unit)
    there = Dose(getattr(equivalents(dose, first_block, measured), other), other)
    if other is not DoseUnit.CLAMP and unit is not DoseUnit.CLAMP:
        first = values(dose, first_block, measured)[first_block]
        assert values(there, first_block, measured)[first_block] == pytest.approx(first, rel=1e-5)
    back = getattr(equivalents(there, first_block, measured), unit)
    assert back == pytest.approx(value, rel=1e-5, abs=1e-5)


@given(seeds, blocks, sizes, st.sampled_from([unit for unit in UNITS if unit is not DoseUnit.CLAMP]))
def test_equivalents_are_what_the_definitions_say(
    seed: int, first_block: int, value: float, unit: DoseUnit
) -> None:
    measured = yardsticks(seed)
    direction, norms = measured.direction, measured.residual_norms
    added = values(Dose(value, unit), first_block, measured)
    said = equivalents(Dose(value, unit), first_block, measured)
    usual = np.mean([stream[first_block] @ direction.vectors[first_block] for stream in measured.streams])
    assert said.raw == added[first_block]
    assert said.relative == pytest.approx(said.raw / norms[first_block])
    assert said.separation == pytest.approx(said.raw / direction.raw_norms[first_block])
    assert said.clamp == pytest.approx(usual + said.raw, rel=1e-5, abs=1e-5)
    assert said.total_relative == pytest.approx(sum(added) / norms[-1])


@given(seeds, blocks, st.floats(-20, 20))
def test_a_clamp_comes_to_the_way_from_the_usual_component_and_does_not_accumulate(
    seed: int, first_block: int, target: float
) -> None:
    measured = yardsticks(seed)
    said = equivalents(Dose(target, DoseUnit.CLAMP), first_block, measured)
    assert said.clamp == pytest.approx(target)
    vector = measured.direction.vectors[first_block]
    usual = [np.mean([stream[block] @ vector for stream in measured.streams]) for block in range(BLOCKS)]
    assert said.raw == pytest.approx(target - usual[first_block], rel=1e-5, abs=1e-5)
    total = (target - usual[-1]) / measured.residual_norms[-1]  # what the last block's setting comes to
    assert said.total_relative == pytest.approx(total, rel=1e-5, abs=1e-5)


def test_a_raw_dose_of_the_study_comes_to_its_published_total() -> None:
    # 15 at L21 of Qwen 3B's 36 blocks: 225 in all (methods.md §4).
    direction = Direction("dim", np.tile(random_unit_vector(8, 0), (36, 1)), np.full(36, 21.14))
    measured = Yardsticks(direction, np.full(36, 100.0), np.zeros((1, 36, 8), dtype=np.float32))
    dose = Dose(15.0, DoseUnit.RAW)
    assert values(dose, 21, measured).sum() == 225
    assert equivalents(dose, 21, measured).total_relative == pytest.approx(2.25)


@given(seeds, blocks, sizes, st.sampled_from(UNITS))
def test_a_steering_has_the_doses_coefficients_along_its_own_blocks_vector(
    seed: int, first_block: int, value: float, unit: DoseUnit
) -> None:
    measured = yardsticks(seed)
    steering = steer(Dose(value, unit), first_block, measured)
    assert np.array_equal(steering.vector, measured.direction.vectors[first_block])
    assert np.array_equal(steering.coefficients, values(Dose(value, unit), first_block, measured))
    assert steering.first_block == first_block
    assert steering.operation is (Operation.CLAMP if unit is DoseUnit.CLAMP else Operation.ADD)


@pytest.mark.parametrize("make", [coefficients, equivalents, steer])
@pytest.mark.parametrize("block", [-1, BLOCKS, 99])
def test_a_block_out_of_range_is_refused_with_the_range(make: Callable[..., object], block: int) -> None:
    with pytest.raises(SteergaugeError, match=rf"block {block} is out of range; the model has blocks 0 to 6"):
        make(Dose(1.0, DoseUnit.RAW), block, yardsticks(0))


@pytest.mark.parametrize("make", [coefficients, equivalents, steer])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("unit", UNITS)
def test_a_dose_that_is_not_finite_is_refused(
    make: Callable[..., object], value: float, unit: DoseUnit
) -> None:
    with pytest.raises(SteergaugeError, match="finite number"):
        make(Dose(value, unit), 2, yardsticks(0))


def test_steerings_are_the_same_exactly_when_they_do_the_same() -> None:
    measured = yardsticks(0)
    one = steer(Dose(2.0, DoseUnit.RAW), 3, measured)
    others = [
        steer(Dose(2.5, DoseUnit.RAW), 3, measured),
        steer(Dose(2.0, DoseUnit.RAW), 4, measured),
        steer(Dose(2.0, DoseUnit.CLAMP), 3, measured),
        steer(Dose(0.0, DoseUnit.CLAMP), 3, measured),  # pulls the component to 0
        one.with_vector(random_unit_vector(WIDTH, 1)),
        unsteered(BLOCKS, WIDTH),
    ]
    assert one.identity() == steer(Dose(2.0, DoseUnit.RAW), 3, measured).identity()
    assert all(one.identity() != other.identity() for other in others)
    assert [other.changes_nothing for other in others] == [False] * 5 + [True]
    zeros = [steer(Dose(0.0, unit), 2, measured) for unit in UNITS if unit is not DoseUnit.CLAMP]
    assert all(zero.changes_nothing and zero.identity() == others[-1].identity() for zero in zeros)


@pytest.fixture
def scaled_pair(tiny_folder: Callable[[str], Path], tmp_path: Path) -> tuple[Path, Path]:
    """A Llama whose RMSNorm has no ε, and the same with all that writes to the stream eight times as large."""
    folders = tmp_path / "one", tmp_path / "eight"
    for folder, scale in zip(folders, (1.0, 8.0), strict=True):
        shutil.copytree(tiny_folder("llama"), folder)
        config = (folder / "config.json").read_text()
        assert '"rms_norm_eps": 1e-06' in config
        (folder / "config.json").write_text(config.replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 0.0'))
        tensors = load_file(folder / "model.safetensors")
        for name in tensors:
            if name.endswith(("embed_tokens.weight", "o_proj.weight", "down_proj.weight")):
                tensors[name] *= scale
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folders


@pytest.mark.parametrize(
    ("dose", "invariant"),
    [(Dose(0.4, DoseUnit.RELATIVE), True), (Dose(3.0, DoseUnit.RAW), False)],
    ids=["relative", "raw"],
)
def test_a_stream_in_other_units_changes_what_a_raw_dose_does_but_not_a_relative_one(
    dose: Dose, invariant: bool, scaled_pair: tuple[Path, Path]
) -> None:
    logits: list[Tensor] = []
    plain: list[Tensor] = []
    norms = []
    for folder in scaled_pair:
        model = load_model(str(folder), precision="float32", device="cpu")
        count, width = len(model.blocks), model.blocks.width
        baseline = measure_baseline(model, PROMPTS)
        direction = Direction("test", np.tile(random_unit_vector(width, 5), (count, 1)), np.ones(count))
        measured = Yardsticks(direction, baseline.residual_norms, baseline.streams)
        norms.append(baseline.residual_norms)
        logits.append(steered_pass(model, PROMPTS, [steer(dose, 1, measured)] * len(PROMPTS)).logits)
        plain.append(steered_pass(model, PROMPTS, [unsteered(count, width)] * len(PROMPTS)).logits)
    np.testing.assert_allclose(norms[1], 8 * norms[0], rtol=1e-5)
    torch.testing.assert_close(plain[0], plain[1], atol=1e-4, rtol=1e-4)
    moved = (logits[0] - plain[0]).abs().max()
    apart = (logits[0] - logits[1]).abs().max()
    assert moved > 0.1
    assert apart < 1e-4 if invariant else apart > 0.3 * moved


def test_a_zero_residual_norm_at_the_first_block_is_no_reason_to_fail() -> None:
    measured = yardsticks(0, np.arange(BLOCKS, dtype=np.float64))
    assert values(Dose(0.0, DoseUnit.RELATIVE), 0, measured).tolist() == [0.0] * BLOCKS


@given(seeds, blocks, sizes)
def test_opposite_doses_add_the_opposite(seed: int, first_block: int, value: float) -> None:
    measured = yardsticks(seed)
    assume(abs(value) > 0)
    for unit in UNITS:
        one, other = (coefficients(Dose(sign * value, unit), first_block, measured) for sign in (1, -1))
        np.testing.assert_array_equal(one.values, -other.values)
        assert one.clipped == other.clipped


@pytest.mark.parametrize(
    "dose", [Dose(2.0, DoseUnit.RAW), Dose(0.3, DoseUnit.RELATIVE), Dose(1.5, DoseUnit.SEPARATION)]
)
@given(seeds, st.tuples(blocks, blocks).map(sorted))
def test_up_to_a_last_block_the_coefficients_are_those_onward_and_then_none(
    dose: Dose, seed: int, ends: list[int]
) -> None:
    (first, last), measured = ends, yardsticks(seed)
    onward, found = values(dose, first, measured), coefficients(dose, first, measured, last_block=last)
    np.testing.assert_array_equal(found.values[: last + 1], onward[: last + 1])
    assert not found.values[last + 1 :].any()
    assert all(first < block <= last for block in found.clipped)
    said = equivalents(dose, first, measured, last_block=last)
    assert said.total_relative == pytest.approx(onward[: last + 1].sum() / measured.residual_norms[-1])
    assert said[:4] == equivalents(dose, first, measured)[:4]
    steering = steer(dose, first, measured, last_block=last)
    assert list(steering.blocks) == list(range(first, last + 1))


@pytest.mark.parametrize(
    ("last", "complaint"),
    [(1, "the last block to steer, 1, lies before the first, 2"), (BLOCKS, "block 7 is out of range")],
)
def test_a_last_block_before_the_first_or_past_the_end_is_refused(last: int, complaint: str) -> None:
    with pytest.raises(SteergaugeError, match=complaint):
        steer(Dose(1.0, DoseUnit.RAW), 2, yardsticks(0), last_block=last)
    with pytest.raises(SteergaugeError, match=complaint):
        ablation(random_unit_vector(WIDTH, 0), BLOCKS, first_block=2, last_block=last)


def read(seed: int, method: str = "dim") -> Yardsticks:
    """A method's direction on random readings, with the class means."""
    rng = np.random.default_rng(seed)
    positive, negative = (rng.normal(mean, 1, size=(6, BLOCKS, WIDTH)).astype(np.float32) for mean in (1, -1))
    streams = rng.normal(size=(5, BLOCKS, WIDTH)).astype(np.float32)
    means = class_means(positive, negative)
    return Yardsticks(METHODS[method](positive, negative), rng.uniform(9, 50, BLOCKS), streams, means)


@given(seeds, blocks, st.floats(-3, 3), st.sampled_from(["dim", "logistic", "pca_center"]))
def test_affine_targets_lie_between_the_class_means_along_the_first_blocks_vector(
    seed: int, first: int, dose: float, method: str
) -> None:
    measured = read(seed, method)
    assert measured.means
    vector = measured.direction.vectors[first]
    steering = steer(Dose(dose, DoseUnit.SEPARATION), first, measured, operation=Operation.AFFINE)
    for block in range(first, BLOCKS):
        low = measured.means.negative[block] @ vector
        high = (measured.means.negative[block] + measured.means.difference[block]) @ vector
        assert steering.coefficients[block] == pytest.approx((1 - dose) * low + dose * high, abs=1e-6)
    said = equivalents(Dose(dose, DoseUnit.SEPARATION), first, measured, operation=Operation.AFFINE)
    usual = [float(np.mean(measured.streams[:, block] @ vector)) for block in (first, -1)]
    assert said.raw == pytest.approx(steering.coefficients[first] - usual[0], abs=1e-5)
    assert said.clamp == pytest.approx(steering.coefficients[first], abs=1e-5)
    assert said.total_relative == pytest.approx(
        (steering.coefficients[-1] - usual[1]) / measured.residual_norms[-1], abs=1e-5
    )


@given(seeds, blocks, sizes, st.sampled_from(["dim", "logistic", "pca_center", "svd"]))
def test_with_the_class_means_a_separation_is_exact_whatever_the_method(
    seed: int, first: int, dose: float, method: str
) -> None:
    measured = read(seed, method)
    assert measured.means
    held = np.cumsum(values(Dose(dose, DoseUnit.SEPARATION), first, measured))
    for block in range(first, BLOCKS):
        exact = dose * float(measured.means.difference[block] @ measured.direction.vectors[first])
        assert held[block] == pytest.approx(exact, rel=1e-6, abs=1e-6 * abs(dose))
    without = replace(measured, means=None)
    for one in (measured, without):  # at its own block the norm of the direction is that separation already
        first_addition = values(Dose(dose, DoseUnit.SEPARATION), first, one)[first]
        assert first_addition == pytest.approx(dose * measured.direction.raw_norms[first], rel=1e-5)


@pytest.mark.parametrize(
    ("unit", "operation", "complaint"),
    [
        ("raw", "clamp", "the operation clamp takes doses in clamp, not in raw"),
        ("clamp", "add", "the operation add takes doses in raw, relative, separation, not in clamp"),
        ("clamp", "rotate", "the operation rotate takes doses in raw, relative, separation, not in clamp"),
        ("raw", "affine", "the operation affine takes doses in separation, not in raw"),
        ("raw", "ablate", "ablation takes the whole component away, so it has no dose"),
    ],
)
def test_an_operation_refuses_doses_that_mean_nothing_to_it(
    unit: str, operation: str, complaint: str
) -> None:
    with pytest.raises(SteergaugeError, match=complaint) as refusal:
        steer(Dose(1.0, DoseUnit(unit)), 2, read(0), operation=Operation(operation))
    assert "\n" not in str(refusal.value)


@given(seeds, blocks, st.floats(-40, 40))
def test_a_turn_comes_to_what_an_addition_does_but_ends_at_the_vector(
    seed: int, first: int, amount: float
) -> None:
    measured, dose = read(seed), Dose(amount, DoseUnit.RAW)
    added = equivalents(dose, first, measured)
    turned = equivalents(dose, first, measured, operation=Operation.ROTATE)
    assert turned._replace(clamp=added.clamp) == added
    streams, vector = torch.from_numpy(measured.streams[:, first]), measured.direction.vectors[first]
    steering = steer(dose, first, measured, operation=Operation.ROTATE)
    after = streams + Intervention([steering], "cpu").change(first, streams[None])[0]
    assert turned.clamp == pytest.approx(float((after @ torch.from_numpy(vector)).mean()), abs=1e-4)


def test_affine_steering_without_class_means_is_refused() -> None:
    with pytest.raises(SteergaugeError, match="means of both classes, which an imported direction"):
        steer(Dose(1.0, DoseUnit.SEPARATION), 2, yardsticks(0), operation=Operation.AFFINE)


@settings(max_examples=40)
@given(seeds, blocks, st.floats(-1, 1), st.sampled_from(["affine", "clamp", "add", "rotate"]))
def test_a_control_moves_the_usual_stream_as_far_along_its_own_vector(
    seed: int, first: int, value: float, operation: str
) -> None:
    measured, other = read(seed), random_unit_vector(WIDTH, seed)
    unit = {"affine": DoseUnit.SEPARATION, "clamp": DoseUnit.CLAMP}.get(operation, DoseUnit.RAW)
    steering = steer(Dose(value, unit), first, measured, operation=Operation(operation))
    control = same_dose_along(other, steering, measured)
    assert np.array_equal(control.vector, other)
    assert control.operation is steering.operation

    def usual_move(one: Steering, block: int) -> float:
        streams = torch.from_numpy(measured.streams[:, block])
        change = Intervention([one], "cpu").change(block, streams[None])[0]
        return float((change @ torch.from_numpy(one.vector)).mean())

    for block in range(BLOCKS):
        assert usual_move(control, block) == pytest.approx(usual_move(steering, block), abs=1e-4)


def test_what_the_study_does_has_the_content_address_that_it_always_had() -> None:
    vector = np.array([0.6, 0.8], dtype=np.float32)
    digest = "9d2c143dc5e2c8df311211d38cb9ed78357a179827854314aec553e5da319145"
    for operation in (Operation.ADD, Operation.CLAMP):
        assert Steering(vector, np.array([0.0, 1.5, 2.5]), 1, operation).identity() == {
            "operation": operation.value,
            "vector": digest,
            "first_block": 1,
            "coefficients": [0.0, 1.5, 2.5],
            "positions": "all",
        }
    assert unsteered(3, 2).identity() == {"operation": "none"}


def test_blocks_and_positions_are_part_of_what_a_steering_is() -> None:
    steering = Steering(random_unit_vector(4, 0), np.array([0.0, 1.0, 0.0]), 1)
    others = [replace(steering, last_block=1)]
    others += [replace(steering, positions=positions) for positions in Positions if positions != "all"]
    others += [replace(steering, operation=one) for one in Operation if one not in ("add", "ablate")]
    identities = [str(one.identity()) for one in (steering, *others)]
    assert len(set(identities)) == len(identities)
    assert replace(steering, last_block=2).identity() == steering.identity()  # through the last, said or not


def test_standard_deviations_of_heads_are_no_dose_of_the_stream() -> None:
    with pytest.raises(SteergaugeError, match="not in sigma"):
        coefficients(Dose(5.0, DoseUnit.SIGMA), 0, yardsticks(seed=0))
