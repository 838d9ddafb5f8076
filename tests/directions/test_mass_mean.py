import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from steergauge.directions.dim import difference_in_means
from steergauge.directions.mass_mean import whitened_mass_mean
from steergauge.errors import SteergaugeError

Array = NDArray[np.floating]


def cosine(one: Array, other: Array) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("seed", range(3))
def test_for_gaussians_with_one_covariance_it_is_fishers_discriminant(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(6, 6)) + np.eye(6)
    shift = 0.5 * mixing @ rng.normal(size=6)
    positive = (rng.normal(size=(20_000, 6)) @ mixing.T + shift)[:, None].astype(np.float32)
    negative = (rng.normal(size=(5_000, 6)) @ mixing.T)[:, None].astype(np.float32)
    fisher = np.linalg.solve(mixing @ mixing.T, shift)
    assert cosine(whitened_mass_mean(positive, negative).vectors[0], fisher) >= 0.99


@pytest.mark.parametrize(("prompts", "width"), [(5, 60), (20, 40), (21, 40), (200, 12)])
def test_it_is_the_solution_with_ledoit_and_wolfs_whole_covariance(prompts: int, width: int) -> None:
    rng = np.random.default_rng(prompts)
    positive, negative = (rng.normal(size=(2, prompts, 1, width)) * np.linspace(0.2, 3, width)).astype(
        np.float32
    )
    within = np.concatenate([readings[:, 0].astype(np.float64) for readings in (positive, negative)])
    within -= np.repeat([half.mean(axis=0) for half in np.split(within, 2)], prompts, axis=0)
    covariance = LedoitWolf(assume_centered=True).fit(within).covariance_
    difference = positive[:, 0].mean(axis=0, dtype=np.float64) - negative[:, 0].mean(axis=0, dtype=np.float64)
    expected = np.linalg.solve(covariance, difference)
    assert cosine(whitened_mass_mean(positive, negative).vectors[0], expected) >= 1 - 1e-7


def test_it_leans_away_from_what_varies_within_the_classes_and_dim_does_not() -> None:
    rng = np.random.default_rng(0)
    positive, negative = rng.normal(size=(2, 50, 1, 10))
    for readings in (positive, negative):
        readings[..., 1] *= 20  # large within the classes
    positive[..., :2] += 5  # and both differ alike between them
    positive, negative = positive.astype(np.float32), negative.astype(np.float32)
    assert abs(whitened_mass_mean(positive, negative).vectors[0, 1]) < 0.2
    assert abs(difference_in_means(positive, negative).vectors[0, 1]) > 0.4


def test_one_prompt_a_class_has_no_covariance() -> None:
    positive, negative = np.random.default_rng(0).normal(size=(2, 1, 2, 8)).astype(np.float32)
    with pytest.raises(SteergaugeError, match=r"mass_mean_whitened after block 0: .*no covariance.* use dim"):
        whitened_mass_mean(positive, negative)


def test_a_covariance_that_shrinkage_does_not_mend_is_an_error() -> None:
    # All prompts lie equally far from their class's mean along one axis: no sampling error, so no shrinkage.
    positive = np.array([[[1, 0, 0]], [[-1, 0, 0]]], dtype=np.float32)
    with pytest.raises(SteergaugeError, match=r"after block 0: .*no inverse, even shrunk"):
        whitened_mass_mean(positive, positive + np.float32(1))
