import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steergauge.directions.spectrum import spectrum


@pytest.mark.parametrize("axes", [1, 2, 5])
def test_where_a_few_axes_hold_equal_shares_every_effective_rank_is_their_number(axes: int) -> None:
    found = spectrum(3 * np.eye(9, 12)[:axes])
    assert (found.stable_rank, found.participation_ratio, found.entropy_rank) == pytest.approx((axes,) * 3)
    assert found.explained(axes) == pytest.approx(1)
    assert (found.rows, found.width) == (axes, 12)


def test_two_unequal_axes_give_the_numbers_worked_out_by_hand() -> None:
    found = spectrum(np.array([[2.0, 0, 0], [0, 1, 0]]))  # shares .8 and .2
    assert found.explained(1) == pytest.approx(0.8)
    assert found.stable_rank == pytest.approx(1.25)
    assert found.participation_ratio == pytest.approx(1 / 0.68)
    assert found.entropy_rank == pytest.approx(0.8**-0.8 * 0.2**-0.2)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 8), width=st.integers(1, 8))
def test_the_ranks_are_ordered_and_turning_scaling_or_padding_the_stream_leaves_them(
    seed: int, rows: int, width: int
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, width)) * rng.uniform(0.1, 3, size=width)
    found = spectrum(values)
    ranks = (found.stable_rank, found.participation_ratio, found.entropy_rank)
    assert 1 - 1e-9 <= ranks[0] <= ranks[1] + 1e-9 <= ranks[2] + 2e-9 <= min(rows, width) + 3e-9
    into_wider = np.linalg.qr(rng.normal(size=(width + 5, width))).Q.T  # (width, width + 5), orthonormal rows
    other = spectrum(40 * values @ into_wider)
    assert (other.stable_rank, other.participation_ratio, other.entropy_rank) == pytest.approx(ranks)


def test_rows_of_nothing_have_no_rank() -> None:
    found = spectrum(np.zeros((3, 4)))
    assert (found.stable_rank, found.participation_ratio, found.entropy_rank, found.explained(2)) == (0,) * 4
