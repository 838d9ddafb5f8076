from dataclasses import replace

import numpy as np
import pytest

from steergauge.directions.cross_cosine import cross_cosine
from steergauge.directions.direction import Direction, direction_from_differences
from steergauge.errors import SteergaugeError


def direction(blocks: int, width: int, seed: int) -> Direction:
    return direction_from_differences("dim", np.random.default_rng(seed).normal(size=(blocks, width)))


def test_a_direction_has_cosine_one_with_itself_and_minus_one_with_its_opposite() -> None:
    one = direction(5, 16, 0)
    np.testing.assert_allclose(cross_cosine(one, one), 1, atol=1e-7)
    np.testing.assert_allclose(cross_cosine(one, replace(one, vectors=-one.vectors)), -1, atol=1e-7)


def test_blocks_are_compared_at_the_same_depth_by_hand() -> None:
    source = direction_from_differences("dim", np.array([[1.0, 0], [0.6, 0.8]]))
    target = direction_from_differences("dim", np.array([[1.0, 0], [0, 1], [1, 0], [0, 1]]))
    np.testing.assert_allclose(cross_cosine(source, target), [1, 0, 0.6, 0.8], atol=1e-7)
    np.testing.assert_allclose(cross_cosine(target, source), [1, 0.6], atol=1e-7)


def test_unrelated_directions_have_cosines_of_one_over_the_root_of_the_width() -> None:
    found = cross_cosine(direction(200, 400, 0), direction(200, 400, 1))
    assert np.sqrt(np.mean(found**2)) == pytest.approx(1 / 20, rel=0.15)


def test_directions_without_common_coordinates_are_refused_with_both_widths() -> None:
    with pytest.raises(SteergaugeError, match=r"896 wide and the target's stream 1536.* fit a linear map"):
        cross_cosine(direction(2, 896, 0), direction(2, 1536, 1))
    with pytest.raises(SteergaugeError, match="read at the block output and the other at the block input"):
        cross_cosine(direction(2, 8, 0), replace(direction(2, 8, 1), site="block input"))
