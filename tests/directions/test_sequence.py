import numpy as np
import pytest

from paired_readings import Readings, planted_pairs, turned
from steergauge.directions.dim import difference_in_means
from steergauge.directions.mass_mean import whitened_mass_mean
from steergauge.directions.sequence import orthogonal_sequence, without
from steergauge.directions.svd import top_singular_vector
from steergauge.errors import SteergaugeError


def two_blocks(seed: int = 0, pairs: int = 24, width: int = 24) -> tuple[Readings, Readings]:
    """Two classes of many axes, apart by one shift."""
    rng = np.random.default_rng(seed)
    positive, negative = rng.normal(size=(2, pairs, 2, width)) * np.linspace(1, 3, width)
    return (positive + 3 * rng.normal(size=(2, width))).astype(np.float32), negative.astype(np.float32)


def test_two_planted_kinds_are_the_first_two_directions_of_svd_each_with_its_sign_and_separation() -> None:
    positive, negative, planted = planted_pairs((9.0, -6.0), pairs=20)
    first, second = orthogonal_sequence(positive, negative, 2)
    assert first.vectors[0] @ planted[0] > 0.99
    assert second.vectors[0] @ -planted[1] > 0.99  # its positive prompts lie at −6
    assert (first.raw_norms[0], second.raw_norms[0]) == pytest.approx((9 / 2, 6 / 2), rel=0.05)


def test_the_directions_of_svd_are_the_right_singular_vectors_of_the_differences_in_order() -> None:
    positive, negative = two_blocks()
    found = orthogonal_sequence(positive, negative, 3)
    for block in range(2):
        differences = positive[:, block].astype(np.float64) - negative[:, block]
        axes = np.linalg.svd(differences)[2][:3]
        axes *= np.sign(axes @ differences.mean(axis=0))[:, None]
        np.testing.assert_allclose([each.vectors[block] for each in found], axes, atol=1e-4)


def test_the_directions_are_at_right_angles_and_steer_like_any_other() -> None:
    positive, negative = two_blocks()
    found = orthogonal_sequence(positive, negative, 3)
    assert [each.method for each in found] == ["svd-1", "svd-2", "svd-3"]
    assert found[0].digest == top_singular_vector(positive, negative).digest
    difference = (positive.astype(np.float64) - negative).mean(axis=0)
    for block in range(2):
        vectors = np.stack([each.vectors[block] for each in found]).astype(np.float64)
        np.testing.assert_allclose(vectors @ vectors.T, np.eye(3), atol=1e-5)
    for each in found:
        each.require_fit(2, 24, "the model")
        np.testing.assert_allclose(each.raw_norms, np.sum(difference * each.vectors, axis=1), rtol=1e-4)
        assert each.raw_norms.min() > 0


def test_with_the_difference_in_means_taken_out_the_means_are_equal_so_it_has_no_second() -> None:
    positive, negative = two_blocks()
    direction = difference_in_means(positive, negative)
    left = without(positive, [direction]).mean(axis=0) - without(negative, [direction]).mean(axis=0)
    assert np.linalg.norm(left) < 1e-5 * direction.raw_norms.min()


def test_with_a_probe_that_leans_away_from_it_taken_out_a_part_of_one_difference_is_left() -> None:
    positive, negative, _ = planted_pairs((9.0,), pairs=16, width=256)
    for fit, least, most in ((whitened_mass_mean, 0.05, 1.0), (top_singular_vector, 0.0, 0.01)):
        direction = fit(positive, negative)
        left = without(positive, [direction]).mean(axis=0) - without(negative, [direction]).mean(axis=0)
        assert least <= np.linalg.norm(left) / 9 < most


def test_turning_and_moving_the_stream_turns_every_direction() -> None:
    positive, negative = two_blocks()
    expected = orthogonal_sequence(positive, negative, 2)
    found = orthogonal_sequence(turned(positive, 3, 4.0), turned(negative, 3, 4.0), 2)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.vectors, turned(other.vectors, 3), atol=2e-3)
        np.testing.assert_allclose(one.raw_norms, other.raw_norms, rtol=2e-3)


def test_where_nothing_is_left_that_is_the_error_with_the_number_of_directions() -> None:
    negative = np.random.default_rng(0).normal(size=(6, 1, 16)).astype(np.float32)
    positive = (negative + np.arange(16)).astype(np.float32)
    with pytest.raises(SteergaugeError, match=r"direction 2, with 1 taken out: svd.*block 0"):
        orthogonal_sequence(positive, negative, 2)


def test_a_sequence_of_nothing_or_without_pairs_is_one_line() -> None:
    positive, negative = two_blocks()
    with pytest.raises(SteergaugeError, match="at least one direction, not 0"):
        orthogonal_sequence(positive, negative, 0)
    with pytest.raises(SteergaugeError, match="svd reads pairs"):
        orthogonal_sequence(positive, negative[:5], 1)
