import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from steergauge.directions.pca import pca_of_centred_pairs, pca_of_differences
from steergauge.directions.svd import top_singular_vector
from steergauge.errors import SteergaugeError

Array = NDArray[np.floating]


def pairs(differences: Array, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Readings at one block whose i-th pair differs by the i-th row."""
    negative = np.random.default_rng(seed).normal(size=differences.shape)
    return (negative + differences)[:, None].astype(np.float32), negative[:, None].astype(np.float32)


def cosine(one: Array, other: Array) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("seed", range(5))
def test_a_shared_difference_is_deleted_by_pca_diff_and_found_by_pca_center(seed: int) -> None:
    rng = np.random.default_rng(seed)
    differences = 0.001 * rng.normal(size=(200, 12))
    differences[:, 0] += 5
    spread = rng.normal(size=200)
    differences[:, 1] = (spread - spread.mean()) / spread.std()
    mean = differences.mean(axis=0)
    assert round(cosine(pca_of_differences(*pairs(differences)).vectors[0], mean), 3) == 0
    assert cosine(pca_of_centred_pairs(*pairs(differences)).vectors[0], mean) >= 0.999


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_constant_differences_leave_pca_diff_nothing(scale: float) -> None:
    rng = np.random.default_rng(0)
    negative = scale * rng.normal(size=(8, 2, 64)).astype(np.float32)
    positive = (negative + rng.normal(size=(2, 64))).astype(np.float32)  # another constant at each block
    with pytest.raises(SteergaugeError, match="pca_diff after block 0: no axis stands out"):
        pca_of_differences(positive, negative)
    assert pca_of_centred_pairs(positive, negative).raw_norms.min() > 0


def test_one_pair_leaves_pca_diff_nothing() -> None:
    one_pair = pairs(np.array([[1.0, 2, 3]]))
    with pytest.raises(SteergaugeError, match="pca_diff after block 0: no axis stands out"):
        pca_of_differences(*one_pair)
    np.testing.assert_allclose(
        pca_of_centred_pairs(*one_pair).vectors[0], np.array([1, 2, 3]) / np.sqrt(14), atol=1e-6
    )


@pytest.mark.parametrize("seed", range(5))
def test_both_are_the_components_that_repeng_fits(seed: int) -> None:
    positive, negative = pairs(np.random.default_rng(seed).normal(0.3, 1, size=(9, 6)), seed)
    states = (
        np.stack([positive[:, 0], negative[:, 0]], axis=1).reshape(-1, 6).astype(np.float64)
    )  # interleaved
    differences = states[::2] - states[1::2]
    middle = (states[::2] + states[1::2]) / 2
    centred = states - np.repeat(middle, 2, axis=0)
    for extract, rows in ((pca_of_differences, differences), (pca_of_centred_pairs, centred)):
        found = extract(positive, negative).vectors[0]
        assert abs(cosine(found, PCA(n_components=1).fit(rows).components_[0])) == pytest.approx(1, abs=1e-6)
        assert np.mean(differences @ found) > 0


@pytest.mark.parametrize("seed", range(5))
def test_pca_center_is_the_svd_of_the_differences(seed: int) -> None:
    readings = pairs(np.random.default_rng(seed).normal(0.3, 1, size=(9, 6)))
    centred, uncentred = pca_of_centred_pairs(*readings), top_singular_vector(*readings)
    np.testing.assert_allclose(centred.vectors, uncentred.vectors, atol=1e-6)
    np.testing.assert_allclose(centred.raw_norms, uncentred.raw_norms, rtol=1e-6)
