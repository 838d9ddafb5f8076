from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from steergauge.activations.hooks import capture
from steergauge.directions.methods import METHODS
from steergauge.directions.stability import (
    PAIR_METHODS,
    Design,
    Robustness,
    Stability,
    bootstrap_stability,
    halves_stability,
)
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.prompts import study_contrast_set

Readings = NDArray[np.float32]
Measure = Callable[..., Stability]

both_designs = pytest.mark.parametrize("measure", [bootstrap_stability, halves_stability])


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def readings(*rows: tuple[float, ...]) -> Readings:
    """At one block: (prompts, 1, width)."""
    return np.array(rows, dtype=np.float32)[:, None]


def noise(prompts: int, width: int, seed: int = 0) -> tuple[Readings, Readings]:
    positive, negative = generator(seed).normal(size=(2, prompts, 2, width)).astype(np.float32)
    return positive, negative


@both_designs
@pytest.mark.parametrize("name", ["caa", "pca_center", "svd", "dim"])
def test_classes_apart_by_a_constant_give_cosine_one_everywhere_when_drawn_in_pairs(
    name: str, measure: Measure
) -> None:
    negative = generator(1).normal(size=(6, 3, 32))
    constant = generator(2).normal(size=(3, 32))
    found = measure(
        name,
        (negative + constant).astype(np.float32),
        negative.astype(np.float32),
        generator(),
        draws=50,
        in_pairs=True,
    )
    assert (found.draws, found.degenerate, found.reason) == (50, 0, None)
    assert found.cosines.shape == (50, 3)
    np.testing.assert_allclose(found.cosines, 1, atol=1e-6)
    assert {at.verdict for at in found.by_block} == {Robustness.ROBUST}


def test_the_bootstrap_of_pure_noise_has_the_cosine_of_a_vector_with_its_own_resampling_error() -> None:
    positive, negative = noise(prompts=20, width=4096)
    found = bootstrap_stability("dim", positive, negative, generator(), draws=100)
    for at in found.by_block:
        # Δ* = Δ + e with ‖e‖² = (n−1)/n·‖Δ‖² at a right angle to Δ, so 1/√(1 + 19/20) = 0.716.
        assert at.median == pytest.approx(1 / np.sqrt(1.95), abs=0.02)
        assert at.verdict is Robustness.FRAGILE


def test_the_halves_of_pure_noise_have_nothing_in_common() -> None:
    positive, negative = noise(prompts=20, width=4096)
    found = halves_stability("dim", positive, negative, generator(), draws=100)
    for at in found.by_block:
        assert abs(at.median) < 0.03
        assert at.verdict is Robustness.FRAGILE


def test_halves_of_two_prompts_have_the_cosine_computed_by_hand() -> None:
    # Each half is one prompt a class. Block 0: (1,0) against (0,1). Block 1: (3,4)·(4,3)/25.
    positive = np.array([[[1, 0], [3, 4]], [[0, 1], [4, 3]]], dtype=np.float32)
    found = halves_stability("dim", positive, np.zeros_like(positive), generator(), draws=10)
    np.testing.assert_allclose(found.cosines, np.tile([0.0, 0.96], (10, 1)), atol=1e-7)
    assert [at.verdict for at in found.by_block] == [Robustness.FRAGILE, Robustness.ROBUST]
    assert found.at(1).median == pytest.approx(0.96)
    assert found.at(1).minimum == pytest.approx(0.96)


def test_resamples_of_two_prompts_have_the_two_cosines_computed_by_hand() -> None:
    # Twice the same prompt: (3,4)·(1,1)/(5·√2); both: 1.
    positive = readings((3, 4), (4, 3))
    found = bootstrap_stability("dim", positive, np.zeros_like(positive), generator(), draws=200)
    same = 7 / (5 * np.sqrt(2))
    values = np.unique(found.cosines.round(6))
    np.testing.assert_allclose(values, [same, 1], atol=1e-6)
    share = float(np.mean(found.cosines > 0.995))
    assert 0.4 < share < 0.6
    at = found.at(0)
    assert (at.minimum, at.low, at.high) == pytest.approx((same, same, 1), abs=1e-6)


def test_the_percentiles_are_those_of_the_cosines() -> None:
    cosines = np.linspace(0, 1, 41)[:, None]
    at = Stability("dim", Design.HALVES, False, 41, 0, None, cosines).at(0)
    assert (at.minimum, at.low, at.median, at.high) == pytest.approx((0, 0.025, 0.5, 0.975))


def test_draws_without_a_direction_are_counted_and_not_hidden() -> None:
    # Of four resampled numbers from (1, −1, 1, 1) two are −1, so the sum is 0, with probability 6·(1/4)²·(3/4)² = 0.211.
    positive = readings((1, 0), (-1, 0), (1, 0), (1, 0))
    found = bootstrap_stability("dim", positive, np.zeros_like(positive), generator(), draws=400)
    assert 0.15 < found.degenerate / found.draws < 0.28
    assert len(found.cosines) == found.draws - found.degenerate
    assert found.reason is not None
    assert "do not differ after block 0" in found.reason
    assert set(found.cosines.ravel()) == {-1.0, 1.0}


def test_a_degenerate_draw_counts_against_the_verdict() -> None:
    cosines = np.ones((10, 1))
    fine, lost = (Stability("dim", Design.HALVES, False, 10 + lost, lost, "why", cosines) for lost in (9, 11))
    assert fine.at(0).verdict is Robustness.ROBUST
    assert lost.at(0).verdict is Robustness.FRAGILE
    assert lost.at(0).median == 1


def test_where_every_draw_is_degenerate_that_is_the_error() -> None:
    positive = readings((1, 0), (3, 0))
    with pytest.raises(
        SteergaugeError, match=r"mass_mean_whitened gives no direction in any of 5 draws \(halves\)"
    ):
        halves_stability("mass_mean_whitened", positive, np.zeros_like(positive), generator(), draws=5)


def test_the_verdict_turns_at_a_median_of_95_percent() -> None:
    for cosine, verdict in ((0.95, Robustness.ROBUST), (0.9499, Robustness.FRAGILE)):
        assert (
            Stability("dim", Design.HALVES, False, 1, 0, None, np.array([[cosine]])).at(0).verdict is verdict
        )


@both_designs
@pytest.mark.parametrize("name", METHODS)
def test_equal_seeds_give_equal_cosines_and_others_do_not(name: str, measure: Measure) -> None:
    positive, negative = noise(prompts=6, width=16)
    one, same, other = (measure(name, positive + 2, negative, generator(seed), draws=4) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.cosines, same.cosines)
    assert one.cosines.shape != other.cosines.shape or (one.cosines != other.cosines).any()


def test_the_methods_drawn_in_pairs_are_those_that_refuse_unequal_classes() -> None:
    positive, negative = noise(prompts=6, width=16)

    def reads_pairs(name: str) -> bool:
        try:
            METHODS[name](positive, negative[:5])
        except SteergaugeError as error:
            return "reads pairs" in str(error)
        return False

    assert {name for name in METHODS if reads_pairs(name)} == PAIR_METHODS


def test_classes_of_different_sizes_are_drawn_apart() -> None:
    positive, negative = noise(prompts=8, width=16)
    for measure in (bootstrap_stability, halves_stability):
        assert measure("dim", positive, negative[:3], generator(), draws=5).degenerate == 0
        with pytest.raises(SteergaugeError, match="8 positive and 3 negative"):
            measure("dim", positive, negative[:3], generator(), draws=5, in_pairs=True)
        with pytest.raises(SteergaugeError, match="8 positive and 3 negative"):
            measure("svd", positive, negative[:3], generator(), draws=5)
        with pytest.raises(SteergaugeError, match="svd reads pairs"):
            measure("svd", positive, negative, generator(), draws=5, in_pairs=False)


def test_what_cannot_be_measured_is_one_line() -> None:
    positive, negative = noise(prompts=4, width=16)
    with pytest.raises(SteergaugeError, match="no extraction method 'dimm'; did you mean dim"):
        bootstrap_stability("dimm", positive, negative, generator())
    with pytest.raises(SteergaugeError, match="at least two prompts a class"):
        halves_stability("dim", positive, negative[:1], generator())
    with pytest.raises(SteergaugeError, match="do not differ after block 0"):
        halves_stability("dim", positive, positive, generator())
    with pytest.raises(SteergaugeError, match="at least one draw, not 0"):
        bootstrap_stability("dim", positive, negative, generator(), draws=0)
    found = bootstrap_stability("dim", positive, negative, generator(), draws=2)
    with pytest.raises(SteergaugeError, match="block 2 is out of range: there are blocks 0 to 1"):
        found.at(2)


def test_progress_is_told_after_each_draw() -> None:
    told: list[tuple[int, int]] = []
    positive, negative = noise(prompts=4, width=16)
    bootstrap_stability(
        "dim", positive, negative, generator(), draws=3, progress=lambda done, of: told.append((done, of))
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_the_table_has_a_row_a_block() -> None:
    positive, negative = noise(prompts=4, width=16)
    found = halves_stability("caa", positive, negative, generator(), draws=7)
    table = found.to_pandas()
    assert list(table.block) == [0, 1]
    assert set(table.design) == {"halves"}
    assert set(table.draws) == {7}
    assert table.in_pairs.all()
    assert list(table["median"]) == [at.median for at in found.by_block]
    assert list(table.verdict) == [str(at.verdict) for at in found.by_block]


@pytest.mark.parametrize(
    ("measure", "in_pairs", "median", "verdict"),
    [
        (bootstrap_stability, False, 0.988, Robustness.ROBUST),
        (bootstrap_stability, True, 0.997, Robustness.ROBUST),
        (halves_stability, False, 0.941, Robustness.FRAGILE),
        (halves_stability, True, 0.978, Robustness.ROBUST),
    ],
)
def test_the_studys_prompts_on_the_phantom_are_as_stable_as_the_documentation_says(
    phantom_model: Model, measure: Measure, in_pairs: bool, median: float, verdict: Robustness
) -> None:
    prompts = study_contrast_set()
    positive = capture(phantom_model, prompts.positive).at(-1)
    negative = capture(phantom_model, prompts.negative).at(-1)
    found = measure("dim", positive, negative, generator(), draws=1000, in_pairs=in_pairs)
    assert found.at(3).median == pytest.approx(median, abs=1e-3)
    assert {at.verdict for at in found.by_block} == {verdict}
    # Its blocks after the first write nothing, so all blocks agree.
    np.testing.assert_allclose(found.cosines, np.tile(found.cosines[:, :1], (1, 6)), atol=1e-5)
