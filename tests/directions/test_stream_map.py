import numpy as np
import pytest

from paired_readings import Readings, orthonormal
from steergauge.directions.dim import difference_in_means
from steergauge.directions.stream_map import fit_stream_map
from steergauge.errors import SteergaugeError

SOURCE_BLOCKS, TARGET_BLOCKS, SOURCE, TARGET = 4, 6, 24, 40
FROM = [0, 0, 1, 2, 2, 3]


def source_stream(prompts: int, seed: int) -> Readings:
    return np.random.default_rng(seed).normal(size=(prompts, SOURCE_BLOCKS, SOURCE)).astype(np.float32)


def target_of(source: Readings, scale: float = 3.0) -> Readings:
    """Another model, whose block k holds the source's block of the same depth, turned into a wider stream."""
    laid = [scale * source[:, block] @ orthonormal(SOURCE, TARGET, place) for place, block in enumerate(FROM)]
    return (np.stack(laid, axis=1) + 2).astype(np.float32)


def test_a_planted_direction_is_carried_with_cosine_one_and_its_length_in_the_targets_unit() -> None:
    shared = source_stream(60, 0)
    fitted = fit_stream_map(shared, target_of(shared))
    assert fitted.from_blocks == tuple(FROM)
    np.testing.assert_allclose(fitted.held_out_r2, 1, atol=1e-6)
    # The contrast prompts are others: the map has not seen them.
    positive, negative = source_stream(8, 1) + 1, source_stream(8, 2)
    own = difference_in_means(target_of(positive), target_of(negative))
    carried, kept = fitted.carry(difference_in_means(positive, negative))
    carried.require_fit(TARGET_BLOCKS, TARGET, "the target")
    assert carried.method == "dim-procrustes"
    np.testing.assert_allclose(np.sum(carried.vectors * own.vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(carried.raw_norms, own.raw_norms, rtol=1e-4)
    np.testing.assert_allclose(kept, 1, atol=1e-5)


def test_what_lies_where_no_shared_prompt_varied_is_lost_and_said() -> None:
    shared = source_stream(60, 0)
    shared[..., 0] = 1  # no prompt varies along the first coordinate
    fitted = fit_stream_map(shared, target_of(shared))
    inside, outside = np.zeros((2, 1, SOURCE_BLOCKS, SOURCE), dtype=np.float32)
    inside[..., 1], outside[..., :2] = 5, 5
    nothing = np.zeros_like(inside)
    whole, half = (fitted.carry(difference_in_means(each, nothing)) for each in (inside, outside))
    np.testing.assert_allclose(whole.kept, 1, atol=1e-5)
    np.testing.assert_allclose(half.kept, np.sqrt(0.5), atol=1e-5)
    np.testing.assert_allclose(half.direction.vectors, whole.direction.vectors, atol=1e-5)
    np.testing.assert_allclose(half.direction.raw_norms, whole.direction.raw_norms, rtol=1e-4)
    lost = np.zeros_like(inside)
    lost[..., 0] = 5
    with pytest.raises(SteergaugeError, match="the map to block 0 takes the direction to zero"):
        fitted.carry(difference_in_means(lost, nothing))


def test_prompts_of_the_behaviour_would_give_the_targets_own_direction_in_disguise() -> None:
    # Two streams with nothing in common but which prompts are harmful: the map learns that, and transfer is a tautology.
    rng = np.random.default_rng(0)
    harmful = np.arange(40) % 2 == 0
    source, target = (rng.normal(size=(40, 1, width)).astype(np.float32) for width in (SOURCE, TARGET))
    for readings in (source, target):
        readings[harmful] += 6 * orthonormal(1, readings.shape[-1], 5)[0].astype(np.float32)
    neutral = [rng.normal(size=(40, 1, width)).astype(np.float32) for width in (SOURCE, TARGET)]
    own = difference_in_means(target[harmful], target[~harmful]).vectors[0]
    theirs = difference_in_means(source[harmful], source[~harmful])
    told, untold = fit_stream_map(source, target).carry(theirs), fit_stream_map(*neutral).carry(theirs)
    assert told.direction.vectors[0] @ own > 0.9
    assert abs(untold.direction.vectors[0] @ own) < 0.5  # 1/√40 is .16


def test_a_direction_of_another_model_is_refused_with_both_widths() -> None:
    shared = source_stream(20, 0)
    fitted = fit_stream_map(shared, target_of(shared))
    other = target_of(shared)
    with pytest.raises(SteergaugeError, match="40 wide and the source of the map is 24 wide"):
        fitted.carry(difference_in_means(other[:5] + 1, other[5:]))


def test_readings_without_blocks_or_of_other_prompts_are_refused() -> None:
    shared = source_stream(20, 0)
    with pytest.raises(SteergaugeError, match=r"source's readings have the shape \(20, 24\)"):
        fit_stream_map(shared[:, 0], target_of(shared))
    with pytest.raises(SteergaugeError, match="20 readings of the source and 19 of the target"):
        fit_stream_map(shared, target_of(shared)[1:])
