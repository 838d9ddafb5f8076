import numpy as np
import pytest

from steergauge.directions.depth import at_matched_depths, matched_block, matched_blocks
from steergauge.directions.direction import direction_from_differences
from steergauge.errors import SteergaugeError


@pytest.mark.parametrize(
    ("block", "blocks", "other", "matched"), [(32, 64, 48, 24), (24, 48, 64, 32), (27, 28, 42, 40)]
)
def test_a_block_is_matched_at_its_depth(block: int, blocks: int, other: int, matched: int) -> None:
    assert matched_block(block, blocks, other) == matched


def test_models_of_one_depth_match_block_by_block_and_others_in_order_and_in_range() -> None:
    assert matched_blocks(6, 6) == tuple(range(6))
    for blocks, other in ((24, 28), (28, 24), (30, 1), (1, 30)):
        found = matched_blocks(blocks, other)
        assert len(found) == blocks
        assert list(found) == sorted(found)
        assert (found[0], max(found) < other) == (0, True)
    with pytest.raises(SteergaugeError, match="block 6 is out of range; the model has blocks 0 to 5"):
        matched_block(6, 6, 12)


def test_a_direction_is_carried_to_as_many_blocks_as_the_target_has_with_the_sources_norms() -> None:
    differences = np.random.default_rng(0).normal(size=(4, 8))
    source = direction_from_differences("dim", differences)
    carried = at_matched_depths(source, 6, 8)
    carried.require_fit(6, 8, "the target")
    assert carried.method == "dim-carried"
    np.testing.assert_array_equal(carried.vectors, source.vectors[[0, 0, 1, 2, 2, 3]])
    np.testing.assert_array_equal(carried.raw_norms, source.raw_norms[[0, 0, 1, 2, 2, 3]])


def test_another_width_is_refused_with_both_widths_and_the_way_out() -> None:
    source = direction_from_differences("dim", np.eye(4, 8))
    with pytest.raises(SteergaugeError, match=r"8 wide and the target's stream 9.* fit a linear map"):
        at_matched_depths(source, 4, 9)
