import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from steergauge.directions.dim import difference_in_means
from steergauge.directions.logistic import C, logistic_probe

Array = NDArray[np.floating]


def cosine(one: Array, other: Array) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize(("seed", "negatives"), [(0, 20_000), (1, 20_000), (2, 5_000)])
def test_for_gaussians_with_one_covariance_it_is_fishers_discriminant_and_dim_the_difference(
    seed: int, negatives: int
) -> None:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(6, 6)) + np.eye(6)
    covariance = mixing @ mixing.T
    shift = 0.5 * mixing @ rng.normal(size=6)
    positive = (rng.normal(size=(20_000, 6)) @ mixing.T + shift)[:, None].astype(np.float32)
    negative = (rng.normal(size=(negatives, 6)) @ mixing.T)[:, None].astype(np.float32)
    fisher = np.linalg.solve(covariance, shift)
    assert cosine(fisher, shift) < 0.9  # the two answers differ
    assert cosine(logistic_probe(positive, negative).vectors[0], fisher) >= 0.99
    assert cosine(difference_in_means(positive, negative).vectors[0], shift) >= 0.99


@pytest.mark.filterwarnings("error")
def test_with_few_prompts_it_is_the_fit_in_the_whole_width() -> None:
    positive, negative = np.random.default_rng(0).normal(size=(2, 5, 1, 60)).astype(np.float32)
    points = np.concatenate([positive, negative])[:, 0].astype(np.float64)
    points -= points.mean(axis=0)
    points /= np.sqrt(np.mean(points**2))
    whole = LogisticRegression(C=C, tol=1e-10, max_iter=10_000).fit(points, [1] * 5 + [0] * 5)
    assert cosine(logistic_probe(positive, negative).vectors[0], whole.coef_[0]) >= 1 - 1e-7


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("gap", [1e-3, 1.0, 1e4])
def test_two_prompts_are_told_apart_along_their_difference(gap: float) -> None:
    negative = np.random.default_rng(0).normal(size=(1, 1, 896)).astype(np.float32)
    positive = negative.copy()
    positive[..., 7] += gap
    direction = logistic_probe(positive, negative)
    assert direction.vectors[0, 7] == pytest.approx(1)
    assert direction.raw_norms[0] == pytest.approx(gap, rel=1e-3)
