import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from steergauge.directions.scores import (
    kl_divergence,
    paired_cosine,
    pooled_cosine,
    refusal_scores,
)

Array = NDArray[np.float64]


def at_one_layer(*vectors: tuple[float, ...]) -> Array:
    return np.array(vectors, dtype=float)[:, None]  # (prompts, 1, width)


def logits(*probabilities: tuple[float, ...]) -> NDArray[np.float32]:
    return np.log(np.array(probabilities, dtype=np.float64)).astype(np.float32)


def test_mean_then_cosine_and_the_mean_of_paired_cosines_differ_where_the_pairs_mirror_each_other() -> None:
    harmful, harmless = at_one_layer((1, 3, 0), (1, -3, 0)), at_one_layer((1, -3, 0), (1, 3, 0))
    assert pooled_cosine(harmful, harmless) == pytest.approx(1.0)
    assert paired_cosine(harmful, harmless) == pytest.approx(-0.8)


def test_the_two_orders_agree_where_each_class_is_one_point() -> None:
    harmful, harmless = at_one_layer((1, 0, 0), (1, 0, 0)), at_one_layer((1, 1, 0), (1, 1, 0))
    assert pooled_cosine(harmful, harmless) == pytest.approx(2**-0.5)
    assert paired_cosine(harmful, harmless) == pytest.approx(2**-0.5)


def test_pooling_layers_lets_the_longest_decide_and_averaging_their_cosines_does_not() -> None:
    harmful, harmless = np.array([[[1.0, 0], [0, 100]]]), np.array([[[1.0, 0], [0, -100]]])
    assert pooled_cosine(harmful, harmless) == pytest.approx(-0.9998, abs=1e-5)
    assert paired_cosine(harmful, harmless) == pytest.approx(0.0)


@given(st.lists(st.floats(0.01, 1), min_size=3, max_size=6), st.integers(1, 5))
def test_kl_is_zero_for_the_same_logits_and_not_negative_for_others(weights: list[float], turns: int) -> None:
    p = np.array(weights) / sum(weights)
    q = np.roll(p, turns)
    assert kl_divergence(logits(tuple(p)), logits(tuple(p))) == 0
    assert kl_divergence(logits(tuple(p)), logits(tuple(q))) > -1e-5


def test_kl_of_known_distributions() -> None:
    p, q = (0.5, 0.5), (0.25, 0.75)
    expected = 0.5 * np.log(2) + 0.5 * np.log(2 / 3)
    assert kl_divergence(logits(p), logits(q)) == pytest.approx(expected, abs=1e-5)
    # A mean over prompts, and bounded where q is 0 by the 10⁻⁶ in the logarithm.
    assert kl_divergence(logits(p, p), logits(q, p)) == pytest.approx(expected / 2, abs=1e-5)
    certain, never = np.array([[200.0, 0.0]], dtype=np.float32), np.array([[0.0, 200.0]], dtype=np.float32)
    assert kl_divergence(certain, never) == pytest.approx(np.log(1 + 1e-6) - np.log(1e-6))


def test_the_refusal_score_is_zero_at_one_half_and_bounded() -> None:
    certain = np.array([[0.0, 200.0], [200.0, 0.0]], dtype=np.float32)
    assert refusal_scores(logits((0.3, 0.5, 0.2)), [1]) == pytest.approx([0.0], abs=1e-6)
    assert refusal_scores(logits((0.3, 0.5, 0.2)), [0, 2]) == pytest.approx([0.0], abs=1e-6)
    assert refusal_scores(certain, [1]) == pytest.approx([18.4207, -18.4207], abs=1e-4)
    assert refusal_scores(logits((0.9, 0.1)), [0]) == pytest.approx([np.log(9)], abs=1e-5)
