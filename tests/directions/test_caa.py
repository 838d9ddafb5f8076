import numpy as np
import pytest

from steergauge.directions.caa import mean_paired_difference
from steergauge.directions.dim import difference_in_means


def test_the_vector_as_long_as_caa_adds_it_is_the_unit_vector_times_the_raw_norm() -> None:
    negative = np.array([[[0, 0, 0]], [[1, 2, 5]]], dtype=np.float32)
    positive = negative + np.array([[[6, 0, 0]], [[0, 8, 0]]], dtype=np.float32)
    direction = mean_paired_difference(positive, negative)
    np.testing.assert_allclose(direction.vectors * direction.raw_norms[:, None], [[3, 4, 0]], atol=1e-6)
    assert direction.raw_norms[0] == pytest.approx(5)


def test_with_classes_of_one_size_it_is_the_difference_in_means_and_its_norm() -> None:
    positive, negative = np.random.default_rng(0).normal(size=(2, 7, 4, 32)).astype(np.float32)
    caa, dim = mean_paired_difference(positive, negative), difference_in_means(positive, negative)
    np.testing.assert_allclose(caa.vectors, dim.vectors, atol=1e-7)
    np.testing.assert_allclose(caa.raw_norms, dim.raw_norms, rtol=1e-12)


def test_differences_are_taken_in_double_precision() -> None:
    positive = np.full((1, 1, 1), 2.0**24, dtype=np.float32)
    negative = np.full((1, 1, 1), -1.0, dtype=np.float32)  # in float32 the 1 is lost
    assert mean_paired_difference(positive, negative).raw_norms[0] == 2.0**24 + 1
