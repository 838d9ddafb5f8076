import numpy as np
import pytest

from paired_readings import planted_pairs, turned
from steergauge.directions.residual import residual_separation
from steergauge.directions.sequence import orthogonal_sequence
from steergauge.errors import SteergaugeError


def aucs(kinds: tuple[float, ...], *, pairs: int = 60, count: int = 3, seed: int = 0) -> list[float]:
    positive, negative, _ = planted_pairs(kinds, pairs=pairs, seed=seed)
    return [float(each.auc[0]) for each in residual_separation(positive, negative, count)]


def test_one_planted_direction_leaves_nothing_that_separates_held_out_pairs() -> None:
    first, second, third = aucs((9.0,))
    assert first == 1
    # 60 pairs at chance: 30 ± 3.9; 4 standard deviations.
    assert second == pytest.approx(0.5, abs=0.26)
    assert third == pytest.approx(0.5, abs=0.26)


def test_of_two_planted_kinds_each_direction_separates_its_own_half() -> None:
    # The first axis puts its 30 pairs right and the others at chance, and so does the second.
    first, second, third = aucs((9.0, 6.0))
    assert first == pytest.approx(0.75, abs=0.13)
    assert second == pytest.approx(0.75, abs=0.13)
    assert third == pytest.approx(0.5, abs=0.26)


def test_the_separation_is_the_mean_along_the_next_direction_of_pairs_held_out() -> None:
    positive, negative, _ = planted_pairs((9.0, 6.0), pairs=8, seed=2)
    found = residual_separation(positive, negative, 2)
    along = np.empty((2, 8))
    for pair in range(8):
        rest = np.delete(np.arange(8), pair)
        for number, direction in enumerate(orthogonal_sequence(positive[rest], negative[rest], 2)):
            along[number, pair] = (positive[pair, 0] - negative[pair, 0]) @ direction.vectors[0]
    for number, each in enumerate(found):
        assert (each.removed, each.pairs, each.degenerate) == (number, 8, 0)
        assert each.right[0] == np.sum(along[number] > 0)
        assert each.separations[0] == pytest.approx(along[number].mean(), rel=1e-5)


def test_classes_that_do_not_differ_are_at_chance_without_a_bias() -> None:
    found = [aucs((0.0,), pairs=10, count=2, seed=seed) for seed in range(30)]
    np.testing.assert_allclose(np.mean(found, axis=0), 0.5, atol=0.12)  # 300 pairs, the folds sharing prompts


def test_where_nothing_is_left_to_fit_every_pair_is_on_neither_side_and_counted() -> None:
    negative = np.random.default_rng(0).normal(size=(6, 1, 16)).astype(np.float32)
    first, second = residual_separation(negative + np.float32(3), negative, 2)
    assert (first.right[0], first.degenerate) == (6, 0)
    assert (second.right[0], second.auc[0], second.separations[0], second.degenerate) == (3, 0.5, 0, 6)


def test_turning_and_moving_the_stream_changes_nothing() -> None:
    positive, negative, _ = planted_pairs((9.0, 6.0), pairs=10)
    for one, other in zip(
        residual_separation(turned(positive, 1, 3.0), turned(negative, 1, 3.0), 2),
        residual_separation(positive, negative, 2),
        strict=True,
    ):
        np.testing.assert_array_equal(one.right, other.right)
        np.testing.assert_allclose(one.separations, other.separations, rtol=1e-3, atol=1e-4)


def test_what_cannot_be_held_out_is_one_line() -> None:
    positive, negative, _ = planted_pairs((9.0,), pairs=3)
    with pytest.raises(
        SteergaugeError, match="residual reads pairs, and there are 3 positive and 2 negative"
    ):
        residual_separation(positive, negative[:2], 1)
    with pytest.raises(SteergaugeError, match="at least one direction, not 0"):
        residual_separation(positive, negative, 0)
    with pytest.raises(SteergaugeError, match="do not differ"):
        residual_separation(positive, positive, 1)
