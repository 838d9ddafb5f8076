import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from steergauge.activations.hooks import capture
from steergauge.directions.dim import difference_in_means
from steergauge.directions.direction import Direction, direction_from_differences
from steergauge.directions.methods import METHODS, find_method
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.models.phantom import Phantom
from steergauge.prompts import study_contrast_set

Readings = NDArray[np.float32]
SHAPE = (6, 3, 8)  # prompts, blocks, width

seeds = st.integers(0, 2**32 - 1)


def readings(seed: int, scale: float = 1.0) -> Readings:
    return (scale * np.random.default_rng(seed).normal(size=SHAPE)).astype(np.float32)


def assert_same(one: Direction, other: Direction, sign: int = 1) -> None:
    np.testing.assert_allclose(one.vectors, sign * other.vectors, atol=1e-4)
    np.testing.assert_allclose(one.raw_norms, other.raw_norms, rtol=1e-4)


def as_unit(vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    unit: NDArray[np.floating] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit


@given(seeds, st.floats(0.01, 1000))
def test_a_constant_added_to_a_class_is_its_direction_and_norm(seed: int, length: float) -> None:
    negative = readings(seed)
    constant = length * as_unit(readings(seed + 1)[0])  # another one at each block
    direction = difference_in_means((negative + constant).astype(np.float32), negative)
    tolerance = 1e-5 * (1 + 1 / length)  # of the sum in float32
    np.testing.assert_allclose(direction.vectors, as_unit(constant), atol=tolerance)
    np.testing.assert_allclose(direction.raw_norms, length, rtol=tolerance)


@given(seeds, st.randoms(use_true_random=False))
def test_the_order_of_the_prompts_does_not_matter(seed: int, random: np.random.RandomState) -> None:
    positive, negative = readings(seed), readings(seed + 1)
    order = list(range(len(positive)))
    random.shuffle(order)
    expected = difference_in_means(positive, negative)
    assert_same(difference_in_means(positive[order], negative), expected)
    assert_same(difference_in_means(positive, negative[order]), expected)


@given(seeds)
def test_a_constant_added_to_both_classes_does_not_matter(seed: int) -> None:
    positive, negative, constant = readings(seed), readings(seed + 1), readings(seed + 2, scale=3)[0]
    expected = difference_in_means(positive, negative)
    assume(expected.raw_norms.min() > 0.1)
    assert_same(difference_in_means(positive + constant, negative + constant), expected)


@given(seeds)
def test_swapping_the_classes_negates_the_direction(seed: int) -> None:
    positive, negative = readings(seed), readings(seed + 1)
    swapped = difference_in_means(negative, positive)
    assert_same(swapped, difference_in_means(positive, negative), sign=-1)


@given(seeds)
def test_vectors_have_length_one_and_point_from_the_negative_mean_to_the_positive(seed: int) -> None:
    positive, negative = readings(seed), readings(seed + 1)
    direction = difference_in_means(positive, negative[:4])  # of another size: nothing is paired
    np.testing.assert_allclose(np.linalg.norm(direction.vectors, axis=1), 1, atol=1e-6)
    expected = positive.astype(np.float64).mean(axis=0) - negative[:4].astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(direction.vectors * direction.raw_norms[:, None], expected, atol=1e-5)


def test_means_are_taken_in_double_precision() -> None:
    positive = np.ones((101, 1, 1), dtype=np.float32)
    positive[0] = 2.0**24  # in float32, 1 is lost beside it, a hundred times
    direction = difference_in_means(positive, np.zeros((1, 1, 1), dtype=np.float32))
    assert direction.raw_norms[0] == pytest.approx((2.0**24 + 100) / 101, rel=1e-12)


def test_classes_that_agree_at_a_block_are_an_error_that_names_it() -> None:
    positive, negative = readings(0), readings(1)
    positive[:, 1] = negative[:, 1]
    with pytest.raises(SteergaugeError, match="dim: the two classes do not differ after block 1"):
        difference_in_means(positive, negative)


@pytest.mark.parametrize("fault", [np.nan, np.inf])
def test_readings_that_are_not_finite_are_an_error(fault: float) -> None:
    positive = readings(0)
    positive[0, 2, 3] = fault
    with pytest.raises(SteergaugeError, match="after block 2"):
        difference_in_means(positive, readings(1))


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_shared_last_token_gives_no_direction_at_the_embeddings(
    family: str, tiny_model: Callable[[str], Model]
) -> None:
    # p_0 of the last token is one row of the table (and one position, for prompts of one length).
    model = tiny_model(family)
    entering: list[NDArray[np.float32]] = []

    def read(
        _module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], keywords: dict[str, torch.Tensor]
    ) -> None:
        stream = inputs[0] if inputs else keywords["hidden_states"]
        entering.append(stream[:, -1].numpy())

    handle = model.blocks.modules[0].register_forward_pre_hook(read, with_kwargs=True)
    try:
        positive = capture(model, ["How do I hack", "How do I steal"]).at(-1)
        negative = capture(model, ["How do I bake", "How do I write"]).at(-1)
    finally:
        handle.remove()
    with pytest.raises(SteergaugeError, match=r"after block 0 \(‖Δ‖ = 0\.0\)"):
        difference_in_means(entering[0][:, None], entering[1][:, None])
    assert (
        difference_in_means(positive, negative).raw_norms.min() > 0
    )  # and after the first block there is one


def test_on_the_phantom_it_finds_the_planted_direction_at_every_block(
    phantom_model: Model, phantom: Phantom
) -> None:
    prompts = study_contrast_set()
    direction = difference_in_means(
        capture(phantom_model, prompts.positive).at(-1), capture(phantom_model, prompts.negative).at(-1)
    )
    assert (direction.vectors @ phantom.direction).min() >= 0.999
    np.testing.assert_allclose(direction.raw_norms, 8.0, rtol=1e-3)  # how the phantom is built
    direction.require_fit(phantom.blocks, len(phantom.direction), "phantom")


def test_a_model_of_another_shape_is_refused_with_both_shapes() -> None:
    direction = difference_in_means(readings(0), readings(1))
    with pytest.raises(SteergaugeError, match=r"8 wide and qwen is 896 wide"):
        direction.require_fit(3, 896, "qwen")
    with pytest.raises(SteergaugeError, match=r"3 blocks and qwen has 24"):
        direction.require_fit(24, 8, "qwen")
    direction.require_fit(3, 8, "qwen")


def test_a_digest_is_of_the_bytes_of_vectors_and_norms() -> None:
    one, same = (difference_in_means(readings(0), readings(1)) for _ in range(2))
    longer = direction_from_differences("dim", 2.0 * one.vectors.astype(np.float64) * one.raw_norms[:, None])
    turned = difference_in_means(readings(1), readings(0))
    assert one.digest == same.digest
    assert re.fullmatch("[0-9a-f]{64}", one.digest)
    assert len({one.digest, longer.digest, turned.digest}) == 3


def test_a_method_is_found_by_name_or_the_near_names_are_given() -> None:
    assert find_method("dim") is METHODS["dim"] is difference_in_means
    with pytest.raises(SteergaugeError, match="no extraction method 'dmi'; did you mean dim"):
        find_method("dmi")
