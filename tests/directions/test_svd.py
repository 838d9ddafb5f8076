import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import eigh

from steergauge.directions.svd import top_singular_vector
from steergauge.errors import SteergaugeError


def pairs(
    differences: NDArray[np.floating], seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Readings at one block whose i-th pair differs by the i-th row."""
    negative = np.random.default_rng(seed).normal(size=differences.shape)
    return (negative + differences)[:, None].astype(np.float32), negative[:, None].astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_top_eigenvector_of_the_second_moment_of_the_differences_with_their_negatives(
    seed: int,
) -> None:
    differences = np.random.default_rng(seed).normal(0.3, 1, size=(9, 6))
    both = np.concatenate([differences, -differences])
    expected = eigh(both.T @ both)[1][:, -1]
    expected *= np.sign(np.mean(differences @ expected))
    np.testing.assert_allclose(top_singular_vector(*pairs(differences)).vectors[0], expected, atol=1e-5)


def test_unlike_centred_pca_it_keeps_the_mean_difference() -> None:
    constant = np.array([1.0, -2, 0.5, 4])
    direction = top_singular_vector(*pairs(np.tile(constant, (6, 1))))
    np.testing.assert_allclose(direction.vectors[0], constant / np.linalg.norm(constant), atol=1e-6)
    assert direction.raw_norms[0] == pytest.approx(np.linalg.norm(constant), rel=1e-6)


def test_the_sign_is_that_of_the_mean_of_the_projected_differences_not_of_most_of_them() -> None:
    along = np.array([10.0, -1, -1, -1])  # repeng counts, and would turn it round
    direction = top_singular_vector(*pairs(np.outer(along, [1.0, 0, 0])))
    np.testing.assert_allclose(direction.vectors[0], [1, 0, 0], atol=1e-6)
    assert direction.raw_norms[0] == pytest.approx(7 / 4, rel=1e-6)


def test_two_axes_of_one_length_are_an_error() -> None:
    with pytest.raises(SteergaugeError, match="svd after block 0: no axis stands out"):
        top_singular_vector(*pairs(np.array([[3.0, 0, 0], [0, 3.0, 0]])))


def test_an_axis_along_which_the_means_agree_is_an_error() -> None:
    differences = np.array([[5.0, 0, 1], [-5.0, 0, 1]])
    with pytest.raises(
        SteergaugeError, match=r"do not differ along its axis after block 0.*neither a sign nor a dose"
    ):
        top_singular_vector(*pairs(differences))
