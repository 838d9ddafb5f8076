from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steered import example, steered_pass
from steergauge.directions.random import random_unit_vector
from steergauge.models.loading import load_model
from steergauge.models.precision import Precision
from steergauge.steering.operation import Operation
from steergauge.steering.rounding import rounding
from steergauge.steering.steering import Steering, unsteered

WIDTH = 64
FLAT = np.full(WIDTH, 1 / np.sqrt(WIDTH), dtype=np.float32)
AMOUNT = 0.21 * np.sqrt(WIDTH)  # 0.21 a coordinate: the study's 15 spread over a width of 5120


def add(amount: float, vector: np.ndarray = FLAT) -> Steering:
    return Steering(vector, np.array([amount]), 0)


def streams(*levels: float) -> np.ndarray:
    """Two prompts whose coordinates repeat the given levels: (2, width)."""
    return np.tile(np.array(levels, dtype=np.float32), (2, WIDTH // len(levels)))


@pytest.mark.parametrize(
    ("levels", "lost"), [((64.0,), 1.0), ((-66.0,), 1.0), ((1.0,), 0.0), ((64.0, 1.0), 0.5), ((32.0,), 0.0)]
)
def test_bfloat16_loses_the_studys_dose_where_the_stream_reaches_64(
    levels: tuple[float, ...], lost: float
) -> None:
    found = rounding(streams(*levels), add(AMOUNT), Precision.BFLOAT16)
    assert found.coordinates_lost == lost
    assert found.delivered == pytest.approx(1 - lost, abs=0.2)  # at 32 it is rounded up, from .21 to .25


def test_nothing_arrives_where_every_coordinate_is_lost() -> None:
    assert rounding(streams(64.0), add(AMOUNT), Precision.BFLOAT16) == (1.0, 0.0)


def test_what_rounding_adds_is_counted_too() -> None:
    # Between 32 and 64 bfloat16 steps by a quarter.
    assert rounding(streams(32.0), add(AMOUNT), Precision.BFLOAT16).delivered == pytest.approx(
        0.25 / 0.21, rel=0.01
    )


def test_float16_keeps_at_64_what_bfloat16_loses() -> None:
    found = rounding(streams(64.0), add(AMOUNT), Precision.FLOAT16)
    assert found.coordinates_lost == 0
    assert found.delivered == pytest.approx(1, abs=0.15)


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 100), st.floats(0.01, 1000), st.sampled_from([-1, 1]))
def test_float32_loses_nothing_and_delivers_the_dose(
    seed: int, amount: float, scale: float, sign: int
) -> None:
    stream = (scale * np.random.default_rng(seed).normal(size=(3, WIDTH))).astype(np.float32)
    found = rounding(stream, add(sign * amount), Precision.FLOAT32)
    assert found.coordinates_lost == 0
    assert found.delivered == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize("precision", Precision)
def test_dose_zero_loses_nothing(precision: Precision) -> None:
    assert rounding(streams(64.0), add(0.0), precision) == (0.0, 1.0)


def test_coordinates_to_which_nothing_is_added_are_not_lost() -> None:
    axis = np.zeros(WIDTH, dtype=np.float32)
    axis[3] = 1.0
    assert rounding(streams(1.0), add(1.0, axis), Precision.BFLOAT16) == (0.0, 1.0)


def test_it_says_what_arrives_in_a_model_of_that_precision(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(str(tiny_folder("llama")), precision="bfloat16", device="cpu")
    prompts = ["Tell me a joke", "Hello"]
    steering = example(model, 2, 0.01, Operation.ADD, seed=1)
    before = steered_pass(model, prompts, [unsteered(4, model.blocks.width)] * 2).streams[2, :, -1].float()
    after = steered_pass(model, prompts, [steering] * 2).streams[2, :, -1].float()
    arrived = (after - before).numpy()
    found = rounding(before.numpy(), steering, Precision.BFLOAT16)
    assert 0.2 < found.coordinates_lost < 1  # so small a dose that much of it is
    assert found.coordinates_lost == pytest.approx((arrived == 0).mean())
    assert found.delivered == pytest.approx((arrived @ random_unit_vector(32, 1)).mean() / 0.01, rel=1e-4)
