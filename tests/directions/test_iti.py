from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeavePOut

from steergauge.directions.head_direction import Head, HeadDirection
from steergauge.directions.iti import inference_time_intervention
from steergauge.errors import SteergaugeError

Array = NDArray[np.float32]
BLOCKS, HEADS, WIDTH = 4, 4, 16


def noise(prompts: int, seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=(prompts, BLOCKS, HEADS, WIDTH)).astype(np.float32)


def planted(prompts: int = 30, gap: float = 6.0) -> tuple[Array, Array, Array]:
    """Readings of two classes that differ in head (3, 2) alone, by a shift along a unit vector."""
    positive, negative = noise(prompts, 0), noise(prompts, 1)
    unit = np.random.default_rng(2).normal(size=WIDTH)
    unit /= np.linalg.norm(unit)
    positive[:, 3, 2] += gap * unit.astype(np.float32)
    return positive, negative, unit.astype(np.float32)


def test_the_one_head_that_tells_the_classes_apart_is_chosen_and_points_where_it_was_planted() -> None:
    positive, negative, unit = planted()
    found = inference_time_intervention(positive, negative)
    assert found.best_heads(count=1) == (Head(3, 2),)
    assert found.vectors[3, 2] @ unit > 0.97
    assert found.accuracies[3, 2] > 0.97
    others = np.delete(found.accuracies.ravel(), 3 * HEADS + 2)
    assert others.max() < 0.75  # chance, on sixty prompts
    assert np.all(found.losses[3, 2] < np.delete(found.losses.ravel(), 3 * HEADS + 2))


def test_the_direction_is_the_difference_of_the_means_and_sigma_the_spread_of_both_classes_along_it() -> None:
    positive, negative, _ = planted(prompts=5)
    found = inference_time_intervention(positive, negative)
    for block, head in [(3, 2), (0, 0), (2, 3)]:
        difference = positive[:, block, head].mean(axis=0) - negative[:, block, head].mean(axis=0)
        unit = difference / np.linalg.norm(difference)
        np.testing.assert_allclose(found.vectors[block, head], unit, atol=1e-6)
        along = [float(reading @ unit) for reading in (*positive[:, block, head], *negative[:, block, head])]
        mean = sum(along) / 10
        spread = (sum((value - mean) ** 2 for value in along) / 10) ** 0.5
        assert found.spreads[block, head] == pytest.approx(spread, rel=1e-5)


def test_with_five_pairs_each_pair_is_held_out_once() -> None:
    positive, negative, _ = planted(prompts=5, gap=1.0)
    found = inference_time_intervention(positive, negative)
    for block, head in [(3, 2), (1, 2), (2, 3)]:
        correct, losses = [], []
        for kept, (out,) in LeavePOut(1).split(positive):
            points = np.concatenate([positive[kept, block, head], negative[kept, block, head]]).astype(float)
            centre = points.mean(axis=0)
            scale = np.sqrt(((points - centre) ** 2).mean())
            probe = LogisticRegression(tol=1e-10, max_iter=10_000)
            probe.fit((points - centre) / scale, [1] * 4 + [0] * 4)
            held = np.stack([positive[out, block, head], negative[out, block, head]])
            chances = probe.predict_proba((held - centre) / scale)
            correct += [chances[0, 1] > 0.5, chances[1, 0] > 0.5]
            losses += [-np.log(chances[0, 1]), -np.log(chances[1, 0])]
        assert found.accuracies[block, head] == pytest.approx(np.mean(correct))
        assert found.losses[block, head] == pytest.approx(np.mean(losses), rel=1e-4)


def test_a_prompts_own_class_is_not_known_to_the_probe_that_reads_it() -> None:
    # Labels that mean nothing: a probe that had seen them would be right about all ten.
    positive, negative = noise(5, 0), noise(5, 1)
    assert inference_time_intervention(positive, negative).accuracies.mean() < 0.6


@pytest.mark.parametrize(("positives", "negatives", "folds"), [(2, 9, 2), (12, 11, 10), (30, 3, 3)])
def test_classes_of_unequal_and_larger_sizes_are_held_out_in_at_most_ten_folds(
    positives: int, negatives: int, folds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from steergauge.directions import iti, logistic

    fitted: list[tuple[int, int]] = []
    fit = logistic.fit_probe

    def counting(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> object:
        fitted.append((len(positive), len(negative)))
        return fit(positive, negative)

    monkeypatch.setattr(iti, "fit_probe", counting)
    readings = noise(positives, 0)[:, :1, :1], noise(negatives, 1)[:, :1, :1]
    inference_time_intervention(*readings)
    assert len(fitted) == folds
    assert sum(positives - kept for kept, _ in fitted) == positives
    assert sum(negatives - kept for _, kept in fitted) == negatives
    assert min(min(sizes) for sizes in fitted) >= 1


def ranked(accuracies: NDArray[np.float64], losses: NDArray[np.float64]) -> HeadDirection:
    shape = accuracies.shape
    return HeadDirection(np.ones((*shape, 1), dtype=np.float32), np.ones(shape), accuracies, losses)


def test_heads_go_by_accuracy_then_by_log_loss_then_by_place() -> None:
    accuracies = np.array([[0.9, 1.0, 1.0], [1.0, 0.8, 1.0]])
    losses = np.array([[0.01, 0.3, 0.2], [0.2, 0.0, 0.1]])
    direction = ranked(accuracies, losses)
    expected = (Head(1, 2), Head(0, 2), Head(1, 0), Head(0, 1), Head(0, 0), Head(1, 1))
    assert direction.best_heads(count=6) == direction.best_heads(count=99) == expected
    assert direction.best_heads(count=2) == expected[:2]
    assert direction.best_heads(first_block=1, count=2) == (Head(1, 2), Head(1, 0))


@pytest.mark.parametrize(("blocks", "heads", "count"), [(32, 32, 51), (24, 14, 17), (4, 4, 1), (2, 3, 1)])
def test_five_percent_of_all_heads_are_taken_wherever_steering_begins(
    blocks: int, heads: int, count: int
) -> None:
    direction = ranked(np.ones((blocks, heads)), np.zeros((blocks, heads)))
    assert len(direction.best_heads()) == count
    assert len(direction.best_heads(first_block=blocks - 1)) == min(count, heads)


def test_heads_that_read_both_classes_alike_are_never_taken() -> None:
    positive, negative = noise(5, 0), noise(5, 1)
    positive[:, 2:] = negative[:, 2:]
    positive[:, 0], negative[:, 0] = 3.0, 3.0  # not even different from prompt to prompt
    found = inference_time_intervention(positive, negative)
    assert not found.vectors[[0, 2, 3]].any()
    assert not found.spreads[[0, 2, 3]].any()
    assert {head.block for head in found.best_heads(count=99)} == {1}
    assert len(found.best_heads(count=99)) == HEADS
    with pytest.raises(SteergaugeError, match="no attention head from block 2 on reads the two classes diff"):
        found.best_heads(first_block=2)


@pytest.mark.filterwarnings("error")
def test_a_head_that_one_prompt_alone_moves_is_fitted_without_a_warning() -> None:
    positive, negative = np.zeros((2, 5, 1, 1, 4), dtype=np.float32)
    positive[0, 0, 0, 1] = 1.0
    found = inference_time_intervention(positive, negative)
    # The fold that holds it out knows nothing: even odds for two. The others have it seen and call all else negative.
    assert found.accuracies[0, 0] == pytest.approx((2 * 0.5 + 4) / 10)


def test_swapping_the_classes_negates_every_direction_and_ranks_alike() -> None:
    positive, negative, _ = planted(prompts=5)
    one, other = (inference_time_intervention(*both) for both in [(positive, negative), (negative, positive)])
    np.testing.assert_array_equal(one.vectors, -other.vectors)
    np.testing.assert_allclose(one.spreads, other.spreads)
    np.testing.assert_array_equal(one.accuracies, other.accuracies)
    assert one.best_heads(count=5) == other.best_heads(count=5)


def test_a_constant_added_to_both_classes_and_the_unit_of_a_head_change_nothing_but_sigma() -> None:
    positive, negative, _ = planted(prompts=5)
    plain = inference_time_intervention(positive, negative)
    moved = inference_time_intervention(8 * positive + 3, 8 * negative + 3)
    np.testing.assert_allclose(moved.vectors, plain.vectors, atol=1e-5)
    np.testing.assert_allclose(moved.losses, plain.losses, rtol=1e-4)
    np.testing.assert_allclose(moved.spreads, 8 * plain.spreads, rtol=1e-5)


def test_the_digest_is_that_of_all_that_steering_rests_on() -> None:
    direction = inference_time_intervention(*planted(prompts=5)[:2])
    assert inference_time_intervention(*planted(prompts=5)[:2]).digest == direction.digest
    for name in ("vectors", "spreads", "accuracies", "losses"):
        changed = {key: getattr(direction, key) for key in ("vectors", "spreads", "accuracies", "losses")}
        changed[name] = changed[name] + 1
        assert HeadDirection(**changed).digest != direction.digest


def test_a_model_of_another_shape_is_refused_with_both_shapes() -> None:
    direction = inference_time_intervention(*planted(prompts=5)[:2])
    direction.require_fit(BLOCKS, HEADS, WIDTH, "this")
    with pytest.raises(
        SteergaugeError, match=r"4 × 4 × 16 .* and that has 4 × 4 × 32; extract it on this model"
    ):
        direction.require_fit(BLOCKS, HEADS, 2 * WIDTH, "that")


def with_nan(readings: Array) -> Array:
    readings = readings.copy()
    readings[1, 2, 3, 4] = np.nan
    return readings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:1], "1 positive prompts are too few to hold one out; give at least two a class"),
        (lambda x: x[:, 0], r"the positive readings have the shape \(5, 4, 16\)"),
        (
            lambda x: x[..., :3],
            r"are of \(4, 4, 3\) blocks, heads and coordinates, the negative ones of \(4, 4, 16\)",
        ),
        (with_nan, "a head's reading of the positive prompts is not finite"),
    ],
)
def test_readings_that_cannot_be_used_are_an_error(change: Callable[[Array], Array], message: str) -> None:
    with pytest.raises(SteergaugeError, match=message):
        inference_time_intervention(change(noise(5, 0)), noise(5, 1))


@pytest.mark.parametrize(
    ("first", "count", "message"),
    [(4, 1, "block 4 is out"), (-1, 1, "block -1 is out"), (0, 0, "at least one head, not 0")],
)
def test_a_block_or_a_number_of_heads_that_is_not_there_is_an_error(
    first: int, count: int, message: str
) -> None:
    with pytest.raises(SteergaugeError, match=message):
        inference_time_intervention(*planted(prompts=5)[:2]).best_heads(first, count)
