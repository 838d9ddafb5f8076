import numpy as np
import pytest

from paired_readings import Readings, orthonormal, planted_pairs
from steergauge.directions.rank_by_block import RankByBlock, RankStatistic, rank_by_block
from steergauge.directions.spectrum import spectrum
from steergauge.errors import SteergaugeError

OF_THE_SAMPLE = [each for each in RankStatistic if each is not RankStatistic.POPULATION_RATIO]


def measured(positive: Readings, negative: Readings, draws: int = 200, seed: int = 0) -> RankByBlock:
    return rank_by_block(positive, negative, np.random.default_rng(seed), draws)


def test_the_values_are_those_of_the_spectrum_of_the_paired_differences_at_each_block() -> None:
    positive, negative = np.random.default_rng(0).normal(size=(2, 7, 3, 20)).astype(np.float32)
    found = measured(positive, negative)
    assert (found.pairs, found.width) == (7, 20)
    for block in range(3):
        expected = spectrum(positive[:, block].astype(np.float64) - negative[:, block])
        assert [found.at(statistic, block).value for statistic in OF_THE_SAMPLE] == pytest.approx(
            [expected.explained(1), expected.entropy_rank, expected.participation_ratio]
        )
        assert found.at(RankStatistic.ENTROPY_RANK, block).relative == pytest.approx(
            expected.entropy_rank / 7
        )
        centred = spectrum(negative[:, block] - negative[:, block].mean(axis=0, dtype=np.float64))
        assert found.at(RankStatistic.ENTROPY_RANK, block).baseline == pytest.approx(centred.entropy_rank)


def test_resampled_values_are_those_of_the_repeated_pairs() -> None:
    positive, negative, _ = planted_pairs((3.0, 2.0), pairs=6)
    found = measured(positive, negative, draws=5, seed=4)
    chosen = np.random.default_rng(4).integers(6, size=(5, 6))
    for draw, pairs in enumerate(chosen):
        expected = spectrum(positive[pairs, 0].astype(np.float64) - negative[pairs, 0])
        drawn = [found.draws[statistic][draw, 0] for statistic in OF_THE_SAMPLE]
        assert drawn == pytest.approx(
            [expected.explained(1), expected.entropy_rank, expected.participation_ratio], rel=1e-6
        )


def test_the_populations_ratio_is_the_mean_over_different_pairs_and_passes_the_number_of_pairs() -> None:
    # Isotropic differences in 200 dimensions: 200, which 20 pairs could never show as their own rank.
    rng = np.random.default_rng(0)
    negative = rng.normal(size=(20, 1, 200)).astype(np.float32)
    positive = rng.normal(size=(20, 1, 200)).astype(np.float32)
    found = measured(positive, negative)
    products = (positive[:, 0].astype(np.float64) - negative[:, 0]) @ (positive - negative)[:, 0].T
    above = sum(products[i, i] * products[j, j] for i in range(20) for j in range(20) if i != j)
    below = sum(products[i, j] ** 2 for i in range(20) for j in range(20) if i != j)
    at = found.at(RankStatistic.POPULATION_RATIO, 0)
    assert at.value == pytest.approx(above / below, rel=1e-5)
    assert at.value == pytest.approx(200, rel=0.25)
    assert at.relative == pytest.approx(at.value / 200)
    assert found.at(RankStatistic.PARTICIPATION_RATIO, 0).value < 20


def test_one_planted_direction_has_rank_one_by_every_statistic_and_its_noise_has_not() -> None:
    found = measured(*planted_pairs((20.0,), pairs=20)[:2])
    for statistic in RankStatistic:
        at = found.at(statistic, 0)
        assert at.low <= at.value <= at.high
        assert at.value == pytest.approx(1, abs=0.3 if statistic is RankStatistic.ENTROPY_RANK else 0.05)
    assert found.at(RankStatistic.PARTICIPATION_RATIO, 0).baseline > 10


def test_more_kinds_of_pairs_have_a_higher_rank_and_the_intervals_part() -> None:
    one, three = (measured(*planted_pairs((6.0,) * kinds, pairs=30)[:2]) for kinds in (1, 3))
    for statistic in (
        RankStatistic.ENTROPY_RANK,
        RankStatistic.PARTICIPATION_RATIO,
        RankStatistic.POPULATION_RATIO,
    ):
        assert one.at(statistic, 0).high < three.at(statistic, 0).low
    assert one.at(RankStatistic.FIRST_SHARE, 0).low > three.at(RankStatistic.FIRST_SHARE, 0).high


@pytest.mark.parametrize("statistic", OF_THE_SAMPLE)
def test_the_interval_covers_what_as_many_new_pairs_give_where_the_plain_percentiles_do_not(
    statistic: RankStatistic,
) -> None:
    sets = [planted_pairs((3.0,), pairs=12, noise=0.4, topics=1.0, seed=seed)[:2] for seed in range(60)]
    found = [measured(*each) for each in sets]
    truth = float(np.mean([each.values[statistic][0] for each in found]))
    intervals = [each.at(statistic, 0) for each in found]
    assert np.mean([at.low <= truth <= at.high for at in intervals]) >= 0.85
    plain = [np.quantile(each.draws[statistic][:, 0], (0.025, 0.975)) for each in found]
    assert np.mean([low <= truth <= high for low, high in plain]) < 0.85


def test_a_wider_stream_that_holds_the_same_gives_the_same_and_its_draws_pair_up() -> None:
    positive, negative, _ = planted_pairs((3.0, 2.0), pairs=9)
    into_wider = orthonormal(64, 150, 0)
    one = measured(positive, negative)
    other = measured(
        (positive @ into_wider + 5).astype(np.float32), (negative @ into_wider + 5).astype(np.float32)
    )
    for statistic in RankStatistic:
        np.testing.assert_allclose(other.draws[statistic], one.draws[statistic], rtol=1e-3)
        np.testing.assert_allclose(other.values[statistic], one.values[statistic], rtol=1e-4)


def test_the_table_has_a_row_a_statistic_and_block() -> None:
    positive, negative = np.random.default_rng(0).normal(size=(2, 5, 2, 8)).astype(np.float32)
    found = measured(positive, negative)
    table = found.to_pandas()
    assert len(table) == 2 * len(RankStatistic)
    assert set(table.pairs) == {5}
    row = table[(table.statistic == "entropy_rank") & (table.block == 1)].iloc[0]
    assert row.low == found.at(RankStatistic.ENTROPY_RANK, 1).low


def test_what_cannot_be_measured_is_one_line() -> None:
    positive, negative = np.random.default_rng(0).normal(size=(2, 4, 2, 8)).astype(np.float32)
    generator = np.random.default_rng(0)
    with pytest.raises(SteergaugeError, match="4 positive and 3 negative"):
        rank_by_block(positive, negative[:3], generator)
    with pytest.raises(SteergaugeError, match="at least one draw, not 0"):
        rank_by_block(positive, negative, generator, draws=0)
    with pytest.raises(SteergaugeError, match="no pair differs after block 0"):
        rank_by_block(positive, positive, generator)
    with pytest.raises(SteergaugeError, match="block 2 is out of range: there are blocks 0 to 1"):
        rank_by_block(positive, negative, generator, draws=2).at(RankStatistic.FIRST_SHARE, 2)
