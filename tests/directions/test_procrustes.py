import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

from paired_readings import orthonormal
from steergauge.directions.procrustes import fit_procrustes, fit_with_held_out
from steergauge.errors import SteergaugeError


def stream(prompts: int, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(prompts, width)) * np.linspace(1, 4, width) + rng.normal(size=width)


@pytest.mark.parametrize("seed", range(3))
def test_a_turned_scaled_and_moved_copy_gives_back_the_rotation_the_scale_and_all_held_out_prompts(
    seed: int,
) -> None:
    source = stream(40, 12, seed)
    rotation = orthonormal(12, 12, seed)
    target = 2.5 * source @ rotation + 7
    fit = fit_with_held_out(source, target)
    np.testing.assert_allclose(fit.map.matrix, rotation, atol=1e-9)
    assert fit.map.scale == pytest.approx(2.5)
    assert fit.map.rank == 12
    assert (fit.fitted_r2, fit.held_out_r2) == pytest.approx((1, 1))
    assert (fit.prompts, fit.folds) == (40, 10)
    np.testing.assert_allclose(fit.map.predict(source), target, atol=1e-8)


def test_between_equal_widths_with_enough_prompts_it_is_scipys_orthogonal_procrustes() -> None:
    source, target = stream(50, 8, 0), stream(50, 8, 1)
    expected, weights = orthogonal_procrustes(source - source.mean(axis=0), target - target.mean(axis=0))
    fitted = fit_procrustes(source, target)
    np.testing.assert_allclose(fitted.matrix, expected, atol=1e-9)
    assert fitted.scale == pytest.approx(weights / np.sum((source - source.mean(axis=0)) ** 2))


@pytest.mark.parametrize(("source_width", "target_width"), [(8, 20), (20, 8)])
def test_between_widths_it_is_semi_orthogonal_and_the_svd_of_the_cross_covariance(
    source_width: int, target_width: int
) -> None:
    source, target = stream(60, source_width, 0), stream(60, target_width, 1)
    fitted = fit_procrustes(source, target)
    left, _, right = np.linalg.svd(
        (source - source.mean(axis=0)).T @ (target - target.mean(axis=0)), full_matrices=False
    )
    np.testing.assert_allclose(fitted.matrix, left @ right, atol=1e-9)
    narrow = (
        fitted.matrix @ fitted.matrix.T if source_width < target_width else fitted.matrix.T @ fitted.matrix
    )
    np.testing.assert_allclose(narrow, np.eye(8), atol=1e-9)


def test_a_copy_laid_into_a_wider_stream_is_recovered_there() -> None:
    source = stream(40, 10, 0)
    into_wider = orthonormal(10, 30, 0)
    fit = fit_with_held_out(source, source @ into_wider - 3)
    np.testing.assert_allclose(fit.map.matrix, into_wider, atol=1e-9)
    assert fit.held_out_r2 == pytest.approx(1)


def test_with_fewer_prompts_than_dimensions_it_carries_their_span_alone() -> None:
    source, rotation = stream(9, 40, 0), orthonormal(40, 40, 0)
    fitted = fit_procrustes(source, source @ rotation)
    assert fitted.rank == 8
    inside = source[0] - source[1]
    np.testing.assert_allclose(fitted.turn(inside), inside @ rotation, atol=1e-9)
    outside = np.linalg.svd(source - source.mean(axis=0))[2][-1]
    np.testing.assert_allclose(fitted.turn(outside), 0, atol=1e-9)


def test_unrelated_streams_fit_well_on_their_own_prompts_and_not_on_held_out_ones() -> None:
    rng = np.random.default_rng(0)
    fit = fit_with_held_out(rng.normal(size=(20, 300)), rng.normal(size=(20, 250)))
    assert fit.fitted_r2 > 0.7
    assert fit.held_out_r2 < 0


def test_the_held_out_r2_is_that_of_every_prompt_by_the_map_of_the_others() -> None:
    source = stream(6, 5, 0)
    target = source @ orthonormal(5, 7, 0) + np.random.default_rng(1).normal(size=(6, 7))
    errors = spread = 0.0
    for prompt in range(6):
        rest = np.delete(np.arange(6), prompt)
        predicted = fit_procrustes(source[rest], target[rest]).predict(source[prompt])
        errors += np.sum((target[prompt] - predicted) ** 2)
        spread += np.sum((target[prompt] - target[rest].mean(axis=0)) ** 2)
    fit = fit_with_held_out(source, target)
    assert (fit.prompts, fit.folds) == (6, 6)
    assert fit.held_out_r2 == pytest.approx(1 - errors / spread)


def test_turning_either_stream_turns_the_map_and_moving_it_does_nothing() -> None:
    source, target = stream(30, 6, 0), stream(30, 9, 1)
    one, other = orthonormal(6, 6, 2), orthonormal(9, 9, 3)
    expected = fit_with_held_out(source, target)
    found = fit_with_held_out(source @ one + 4, target @ other - 2)
    np.testing.assert_allclose(found.map.matrix, one.T @ expected.map.matrix @ other, atol=1e-8)
    assert (found.held_out_r2, found.fitted_r2) == pytest.approx((expected.held_out_r2, expected.fitted_r2))


def test_what_gives_no_map_is_one_line() -> None:
    source = stream(6, 5, 0)
    with pytest.raises(SteergaugeError, match="6 readings of the source and 5 of the target"):
        fit_procrustes(source, source[:5])
    with pytest.raises(SteergaugeError, match="at least 3 shared prompts, not 2"):
        fit_with_held_out(source[:2], source[:2])
    with pytest.raises(SteergaugeError, match="read alike in one of the models"):
        fit_procrustes(source, np.ones((6, 4)))
    with pytest.raises(SteergaugeError, match="a reading of the target is not finite"):
        fit_procrustes(source, source * np.nan)
