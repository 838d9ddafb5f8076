from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from steergauge.activations.hooks import capture
from steergauge.directions.direction import Direction
from steergauge.directions.methods import METHODS, find_method
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.models.phantom import Phantom
from steergauge.prompts import study_contrast_set

Readings = NDArray[np.float32]

PAIRED = ["caa", "pca_diff", "pca_center", "svd"]
UNPAIRED = [name for name in METHODS if name not in PAIRED]
GEOMETRIC = [name for name in METHODS if name != "rfm"]
"""Methods that know neither the stream's unit nor its coordinates; the bandwidths of RFM have that unit."""

SHAPES = [(12, 3, 8), (5, 3, 96)]  # prompts, blocks, width: more prompts than dimensions, and far fewer

every_method = pytest.mark.parametrize("name", METHODS)
every_new_method = pytest.mark.parametrize("name", [name for name in METHODS if name != "dim"])
every_set = pytest.mark.parametrize(("shape", "seed"), list(product(SHAPES, range(3))))


def two_classes(shape: tuple[int, ...], seed: int) -> tuple[Readings, Readings]:
    rng = np.random.default_rng(seed)
    positive, negative = rng.normal(size=(2, *shape)) * np.linspace(1, 3, shape[-1])
    positive += 4 * rng.normal(size=shape[1:]) / np.sqrt(shape[-1] / 8)
    classes = positive.astype(np.float32), negative.astype(np.float32)
    for readings in classes:
        readings.setflags(write=False)  # a method that works in place is caught
    return classes


def assert_same(one: Direction, other: Direction, sign: int = 1) -> None:
    np.testing.assert_allclose(one.vectors, sign * other.vectors, atol=2e-4)
    np.testing.assert_allclose(one.raw_norms, other.raw_norms, rtol=2e-4)


@every_set
@every_method
def test_vectors_have_length_one_and_raw_norms_are_the_separation_of_the_means_along_them(
    name: str, shape: tuple[int, ...], seed: int
) -> None:
    positive, negative = two_classes(shape, seed)
    direction = METHODS[name](positive, negative)
    assert direction.method == name
    assert direction.vectors.shape == shape[1:]
    assert (direction.vectors.dtype, direction.raw_norms.dtype) == (
        np.dtype(np.float32),
        np.dtype(np.float64),
    )
    np.testing.assert_allclose(np.linalg.norm(direction.vectors, axis=1), 1, atol=1e-6)
    difference = positive.astype(np.float64).mean(axis=0) - negative.astype(np.float64).mean(axis=0)
    along = np.sum(difference * direction.vectors, axis=1)
    assert along.min() > 0
    np.testing.assert_allclose(direction.raw_norms, along, rtol=1e-5, atol=1e-6)
    assert (direction.raw_norms <= np.linalg.norm(difference, axis=1) * (1 + 1e-12)).all()


@every_set
@every_method
def test_the_order_of_the_prompts_does_not_matter(name: str, shape: tuple[int, ...], seed: int) -> None:
    positive, negative = two_classes(shape, seed)
    rng = np.random.default_rng(seed)
    order, other = rng.permutation(len(positive)), rng.permutation(len(negative))
    other = order if name in PAIRED else other  # pairs stay pairs
    assert_same(METHODS[name](positive[order], negative[other]), METHODS[name](positive, negative))


@every_set
@every_method
def test_a_constant_added_to_both_classes_does_not_matter(
    name: str, shape: tuple[int, ...], seed: int
) -> None:
    positive, negative = two_classes(shape, seed)
    constant = np.random.default_rng(seed).normal(0, 5, size=shape[1:]).astype(np.float32)
    assert_same(METHODS[name](positive + constant, negative + constant), METHODS[name](positive, negative))


@every_set
@pytest.mark.parametrize("name", GEOMETRIC)  # test_rfm.py says why not RFM
def test_swapping_the_classes_negates_the_direction(name: str, shape: tuple[int, ...], seed: int) -> None:
    positive, negative = two_classes(shape, seed)
    assert_same(METHODS[name](negative, positive), METHODS[name](positive, negative), sign=-1)


@every_set
@pytest.mark.parametrize("name", GEOMETRIC)
def test_the_unit_of_the_stream_does_not_matter(name: str, shape: tuple[int, ...], seed: int) -> None:
    positive, negative = two_classes(shape, seed)
    expected = METHODS[name](positive, negative)
    scaled = METHODS[name](250 * positive, 250 * negative)
    assert_same(Direction(name, scaled.vectors, scaled.raw_norms / 250), expected)


@every_set
@pytest.mark.parametrize("name", GEOMETRIC)
def test_turning_the_stream_turns_the_direction(name: str, shape: tuple[int, ...], seed: int) -> None:
    positive, negative = two_classes(shape, seed)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(shape[-1],) * 2)).Q.astype(np.float32)
    expected = METHODS[name](positive, negative)
    turned = METHODS[name](positive @ turn, negative @ turn)
    assert_same(turned, Direction(name, expected.vectors @ turn, expected.raw_norms))


@every_method
def test_the_same_readings_give_the_same_bytes(name: str) -> None:
    classes = two_classes(SHAPES[1], 0)
    assert METHODS[name](*classes).digest == METHODS[name](*classes).digest


@pytest.mark.parametrize("name", UNPAIRED)
def test_methods_without_pairs_take_classes_of_different_sizes(name: str) -> None:
    positive, negative = two_classes(SHAPES[1], 0)
    assert METHODS[name](positive, negative[:3]).raw_norms.min() > 0


@pytest.mark.parametrize("name", PAIRED)
def test_pairs_need_as_many_positive_as_negative_prompts(name: str) -> None:
    positive, negative = two_classes(SHAPES[1], 0)
    with pytest.raises(SteergaugeError, match=f"{name} reads pairs.* 5 positive and 4 negative"):
        METHODS[name](positive, negative[:4])


@every_new_method
def test_an_empty_class_is_an_error_that_names_it(name: str) -> None:
    positive, negative = two_classes(SHAPES[1], 0)
    with pytest.raises(SteergaugeError, match=f"{name}: there are no positive prompts"):
        METHODS[name](positive[:0], negative[:0])
    if name in UNPAIRED:
        with pytest.raises(SteergaugeError, match=f"{name}: there are no negative prompts"):
            METHODS[name](positive, negative[:0])


@every_new_method
def test_readings_of_two_models_are_an_error_with_both_shapes(name: str) -> None:
    positive, negative = two_classes(SHAPES[1], 0)
    with pytest.raises(SteergaugeError, match=r"3 blocks of width 96.* 3 of width 95"):
        METHODS[name](positive, negative[:, :, 1:])
    with pytest.raises(SteergaugeError, match=r"3 blocks of width 96.* 2 of width 96"):
        METHODS[name](positive, negative[:, 1:])


@every_new_method
def test_readings_at_one_block_alone_are_an_error_with_the_shape(name: str) -> None:
    positive, negative = two_classes(SHAPES[1], 0)
    with pytest.raises(SteergaugeError, match=r"shape \(5, 96\).* \(prompts, blocks, width\)"):
        METHODS[name](positive[:, 0], negative[:, 0])


@every_new_method
@pytest.mark.parametrize("fault", [np.nan, np.inf])
def test_a_reading_that_is_not_finite_is_an_error_with_its_block(name: str, fault: float) -> None:
    positive, negative = two_classes(SHAPES[1], 0)
    negative = negative.copy()
    negative[1, 2, 3] = fault
    with pytest.raises(SteergaugeError, match=f"{name}: a reading of the negative prompts after block 2"):
        METHODS[name](positive, negative)


@every_method
def test_classes_that_agree_at_a_block_are_an_error_with_the_block(name: str) -> None:
    positive, negative = two_classes(SHAPES[1], 0)
    negative = negative.copy()
    negative[:, 1] = positive[:, 1]
    with pytest.raises(SteergaugeError, match=f"{name}: the two classes do not differ .*after block 1"):
        METHODS[name](positive, negative)


@every_method
def test_on_the_phantom_it_finds_the_planted_direction_at_every_block(
    name: str, phantom_model: Model, phantom: Phantom
) -> None:
    prompts = study_contrast_set()
    direction = METHODS[name](
        capture(phantom_model, prompts.positive).at(-1), capture(phantom_model, prompts.negative).at(-1)
    )
    cosines = direction.vectors @ phantom.direction
    if name == "pca_diff":
        # Its assumption is false here: the pairs share û and differ in their topics, and it deletes what they share.
        assert np.abs(cosines).max() < 0.1
        assert direction.raw_norms.max() < 0.1 * 8
        return
    assert cosines.min() >= 0.999
    np.testing.assert_allclose(direction.raw_norms, 8.0, rtol=1e-3)  # how the phantom is built


def test_a_method_is_found_by_name_and_mass_mean_leads_to_the_one_that_is_not_dim() -> None:
    assert all(find_method(name) is METHODS[name] for name in METHODS)
    with pytest.raises(
        SteergaugeError, match="no extraction method 'mass_mean'; did you mean mass_mean_whitened"
    ):
        find_method("mass_mean")
