import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steergauge.directions.random import random_unit_vector


@given(st.integers(1, 2000), st.integers(0, 2**32))
def test_a_random_vector_has_length_one_and_depends_on_its_seed_alone(width: int, seed: int) -> None:
    vector = random_unit_vector(width, seed)
    assert vector.shape == (width,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(vector, random_unit_vector(width, seed))


def test_other_seeds_give_other_vectors_nearly_at_right_angles() -> None:
    vectors = np.stack([random_unit_vector(4096, seed) for seed in range(20)])
    cosines = vectors @ vectors.T - np.eye(20)
    assert np.abs(cosines).max() < 6 / np.sqrt(4096)  # six standard deviations


def test_no_coordinate_is_preferred() -> None:
    vectors = np.stack([random_unit_vector(8, seed) for seed in range(4000)])
    # Of a uniform vector each coordinate has mean 0 and variance 1/width, uncorrelated with the others.
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=5 / np.sqrt(8 * 4000))
    np.testing.assert_allclose(np.cov(vectors.T), np.eye(8) / 8, atol=0.015)
