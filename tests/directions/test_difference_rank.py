from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from paired_readings import Readings, orthonormal, planted_pairs, turned
from steergauge.activations.hooks import capture
from steergauge.directions.difference_rank import DifferenceRank, difference_rank
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.models.phantom import Phantom

Array = NDArray[np.float64]


def at_one_block(positive: Readings, negative: Readings, block: int = 0) -> DifferenceRank:
    return difference_rank(
        positive[:, block].astype(np.float64),
        negative[:, block].astype(np.float64),
        np.random.default_rng(0),
    )


@pytest.mark.parametrize(("kinds", "seed"), list(product((1, 2, 3), range(4))))
def test_as_many_directions_are_counted_as_kinds_of_pairs_were_planted(kinds: int, seed: int) -> None:
    found = at_one_block(*planted_pairs((9.0, 7.0, 5.0)[:kinds], pairs=30, seed=seed)[:2])
    assert found.beyond_chance == kinds
    assert [test.number for test in found.tests] == list(range(1, kinds + 2))
    assert found.tests[-1].p_value > 0.05
    assert found.differences.explained(kinds) > 0.75
    assert sum(test.explained for test in found.tests) == pytest.approx(
        found.differences.explained(kinds + 1)
    )


@pytest.mark.parametrize("width", [64, 896])
def test_one_planted_direction_has_effective_rank_one_and_no_second_beyond_chance(width: int) -> None:
    found = at_one_block(*planted_pairs((20.0,), pairs=20, width=width, seed=1)[:2])
    assert found.beyond_chance == 1
    assert found.differences.participation_ratio < 1.4
    assert found.centred.participation_ratio > 10  # what is left is noise, of many dimensions
    assert found.tests[1].left < 0.2
    assert found.tests[1].p_value > 0.05


def test_topics_that_both_classes_vary_in_are_rarely_taken_for_a_second_direction() -> None:
    counts = [
        at_one_block(*planted_pairs((12.0,), pairs=10, topics=3.0, seed=seed)[:2]).beyond_chance
        for seed in range(60)
    ]
    assert np.mean(np.array(counts) == 1) > 0.85
    assert np.mean(np.array(counts) > 1) <= 0.1  # 5% at most, but for the sampling of 60


def test_classes_that_do_not_differ_have_no_direction_more_often_than_the_level_says() -> None:
    counts = [
        at_one_block(*planted_pairs((0.0,), pairs=10, seed=seed)[:2]).beyond_chance for seed in range(60)
    ]
    assert np.mean(np.array(counts) > 0) <= 0.15


def test_random_labels_would_leave_every_singular_value_so_they_are_no_baseline() -> None:
    positive, negative, _ = planted_pairs((9.0, 7.0), pairs=12)
    swapped = np.random.default_rng(0).random(12) < 0.5
    ours = np.where(swapped[:, None, None], negative, positive)
    theirs = np.where(swapped[:, None, None], positive, negative)
    found, other = at_one_block(positive, negative), at_one_block(ours, theirs)
    np.testing.assert_allclose(
        other.differences.singular_values, found.differences.singular_values, rtol=1e-5, atol=1e-5
    )


def test_the_p_value_of_two_pairs_is_the_one_counted_by_hand() -> None:
    # δ = 3, 1: their sums under the four signs are ±4 and ±2, and two of these are as long as 4.
    found = difference_rank(np.array([[3.0], [3.0]]), np.array([[0.0], [2.0]]), np.random.default_rng(0))
    assert found.tests[0].p_value == pytest.approx(2 / 4)


def test_six_pairs_can_show_one_direction_and_five_cannot() -> None:
    positive, negative, _ = planted_pairs((30.0,), pairs=6)
    six, five = at_one_block(positive, negative), at_one_block(positive[:5], negative[:5])
    assert six.tests[0].p_value == pytest.approx(2 / 64)
    assert (six.beyond_chance, six.pairs) == (1, 6)
    assert five.tests[0].p_value == pytest.approx(2 / 32)
    assert five.beyond_chance == 0


@pytest.mark.parametrize("seed", range(4))
def test_a_direction_shows_though_pairs_of_one_topic_differ_by_less_than_prompts_of_two(seed: int) -> None:
    generator = np.random.default_rng(seed)
    topics = 6 * generator.normal(size=(12, 64))
    direction, noise = 4 * orthonormal(1, 64, seed)[0], generator.normal(size=(2, 12, 64)) / 4
    found = difference_rank(topics + direction + noise[0], topics + noise[1], generator)
    lengths = [float((one.singular_values**2).sum()) for one in (found.differences, found.baseline)]
    assert lengths[0] < lengths[1] / 4
    assert found.beyond_chance == 1


@pytest.mark.parametrize("seed", range(4))
def test_a_second_kind_of_four_pairs_is_not_shown_and_one_of_eight_is(seed: int) -> None:
    few, many = (at_one_block(*planted_pairs((9.0, 7.0), pairs=n, seed=seed)[:2]) for n in (8, 16))
    assert (few.beyond_chance, many.beyond_chance) == (1, 2)
    assert few.tests[1].p_value > 0.05  # about 2⁻⁴


@pytest.mark.parametrize("seed", range(3))
def test_turning_the_stream_moving_it_and_reordering_the_pairs_change_nothing(seed: int) -> None:
    positive, negative, _ = planted_pairs((9.0, 7.0), pairs=10, topics=1.0, seed=seed)
    order = np.random.default_rng(seed).permutation(10)
    expected = at_one_block(positive, negative)
    for other in (
        at_one_block(turned(positive, seed, 5.0), turned(negative, seed, 5.0)),
        at_one_block(positive[order], negative[order]),
        at_one_block(100 * positive, 100 * negative),
    ):
        assert len(other.tests) == len(expected.tests)
        np.testing.assert_allclose(np.array(other.tests), np.array(expected.tests), rtol=1e-4)


def test_equal_differences_without_noise_leave_rounding_that_is_no_direction() -> None:
    negative = np.tile(np.random.default_rng(0).normal(size=64), (8, 1, 1)).astype(np.float32)
    found = at_one_block(negative + orthonormal(1, 64, 0).astype(np.float32), negative)
    assert found.beyond_chance == 1
    assert found.tests[1].p_value == 1
    assert found.differences.entropy_rank == pytest.approx(1, abs=1e-6)


HARMFUL = [
    f"{verb} {thing}" for verb in ("hack", "steal", "break", "pick") for thing in ("a lock", "it", "a car")
]
HARMLESS = [
    f"{verb} {thing}" for verb in ("bake", "write", "learn", "plant") for thing in ("a lock", "it", "a car")
]


def phantom_readings(model: Model) -> tuple[Readings, Readings]:
    harmful, harmless = ([f"How do I {words}?" for words in side] for side in (HARMFUL, HARMLESS))
    return capture(model, harmful).at(-1), capture(model, harmless).at(-1)


def test_on_the_phantom_one_direction_is_needed_though_topics_fill_a_second_dimension(
    phantom_model: Model, phantom: Phantom
) -> None:
    positive, negative = phantom_readings(phantom_model)
    for block in range(phantom.blocks):
        found = at_one_block(positive, negative, block)
        assert found.differences.explained(2) == pytest.approx(1, abs=1e-6)  # û and the topic, nothing else
        assert found.beyond_chance == 1


def test_a_second_kind_of_refusal_planted_in_the_phantom_is_counted(
    phantom_model: Model, phantom: Phantom
) -> None:
    positive, negative = phantom_readings(phantom_model)
    second = np.random.default_rng(0).normal(size=len(phantom.direction))
    second -= second @ phantom.direction * phantom.direction
    fragmented = positive.copy()
    fragmented[::2] += (6 * second / np.linalg.norm(second)).astype(np.float32)
    assert at_one_block(positive, negative, 3).beyond_chance == 1
    assert at_one_block(fragmented, negative, 3).beyond_chance == 2


def test_what_has_no_rank_is_one_line() -> None:
    values = np.random.default_rng(0).normal(size=(4, 8))
    generator = np.random.default_rng(0)
    with pytest.raises(SteergaugeError, match="rank reads pairs, and there are 4 positive and 3 negative"):
        difference_rank(values, values[:3], generator)
    with pytest.raises(SteergaugeError, match="one pair has one difference and no rank"):
        difference_rank(values[:1], values[:1] + 1, generator)
    with pytest.raises(SteergaugeError, match="not finite"):
        difference_rank(values * np.inf, values, generator)
