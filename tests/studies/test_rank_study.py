"""Planted directions taken apart and steered with, and what the rules make of sizes of one family."""

from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from phantoms import LARGE, OTHER, SMALL

from paired_readings import planted_pairs
from steergauge.directions.extract import ContrastReadings
from steergauge.directions.rank_by_block import RankStatistic
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.models.phantom import Phantom
from steergauge.studies.experiments.rank import Rank, RankSettings
from steergauge.studies.experiments.rank_verdicts import conclude, rank_difference
from steergauge.studies.experiments.ranked import Parts, Ranked, take_apart
from steergauge.studies.measurements import Rate
from steergauge.studies.result import GaugeResult
from steergauge.studies.study import run_study
from steergauge.studies.study_result import Estimate, Outcome, StudyFigure, StudyResult
from steergauge.studies.study_settings import StudiedModel

LENGTHS = {1: (6.0,), 2: (6.0, 5.0), 3: (6.0, 5.0, 4.0)}


def planted(kinds: int, pairs: int = 20, count: int = 3) -> Parts:
    positive, negative, _ = planted_pairs(LENGTHS[kinds], pairs=pairs)
    return take_apart(ContrastReadings(positive, negative), block=0, count=count, seed=0)


@pytest.mark.parametrize("kinds", [1, 2])
def test_as_many_directions_are_counted_as_were_planted(kinds: int) -> None:
    assert planted(kinds).at_block.beyond_chance == kinds


def test_held_out_pairs_part_along_the_one_that_was_planted_and_not_once_it_is_taken_out() -> None:
    first, *later = (float(residual.auc[0]) for residual in planted(1).residual)
    assert first == 1
    assert all(0.2 < auc < 0.8 for auc in later)


def test_the_sequence_is_as_long_as_directions_can_be_found_and_without_a_first_there_is_none() -> None:
    positive, negative = np.zeros((2, 3, 1, 8), dtype=np.float32)
    positive[:, 0, 0] = 4  # all pairs differ alike, and in nothing else
    one = take_apart(ContrastReadings(positive, negative), block=0, count=3, seed=0)
    assert [direction.method for direction in one.sequence] == ["svd-1"]
    assert [direction.method for direction in planted(1).sequence] == ["svd-1", "svd-2", "svd-3"]
    with pytest.raises(SteergaugeError, match="rank"):
        take_apart(ContrastReadings(negative, negative), block=0, count=3, seed=0)


def ranked(name: str, parts: Parts, precision: str = "auto") -> Ranked:
    unmeasured = GaugeResult.model_construct()  # type: ignore[call-arg]  # conclusions rest on the parts alone
    return Ranked(StudiedModel(name=name, precision=precision), parts, unmeasured)


def outcomes(*ranks: Ranked) -> dict[str, Outcome]:
    return {one.id: one.outcome for one in conclude(ranks)}


ONE, TWO, FIVE_PAIRS = planted(1), planted(2), planted(1, pairs=5)


@pytest.mark.parametrize(
    ("small", "large", "fragmentation", "low_rank"),
    [
        (ONE, TWO, Outcome.SUPPORTED, Outcome.SUPPORTED),
        (TWO, ONE, Outcome.NOT_SUPPORTED, Outcome.NOT_SUPPORTED),
        (ONE, ONE, Outcome.NOT_SUPPORTED, Outcome.UNDECIDED),
        (FIVE_PAIRS, FIVE_PAIRS, Outcome.UNDECIDED, Outcome.UNDECIDED),  # cannot show a second direction
    ],
)
def test_sizes_of_one_family_are_concluded_on_by_the_rules(
    small: Parts, large: Parts, fragmentation: Outcome, low_rank: Outcome
) -> None:
    # The order in which the user names them does not matter.
    assert outcomes(ranked(LARGE, large), ranked(SMALL, small)) == {
        "fragmentation": fragmentation,
        "low-rank": low_rank,
    }


def test_without_a_direction_in_the_smaller_size_more_in_the_larger_is_no_fragmentation() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.normal(size=(20, 1, 64)).astype(np.float32) for _ in range(2)]
    nothing = take_apart(ContrastReadings(*noise), block=0, count=1, seed=0)
    assert nothing.at_block.beyond_chance == 0
    assert outcomes(ranked(SMALL, nothing), ranked(LARGE, ONE))["fragmentation"] is Outcome.UNDECIDED


@pytest.mark.parametrize(
    "ranks",
    [
        [ranked(SMALL, ONE)],
        [ranked(SMALL, ONE), ranked(OTHER, TWO)],
        [ranked(SMALL, ONE), ranked(SMALL, TWO, "bfloat16")],
        [ranked("mine", ONE), ranked("yours", TWO)],
    ],
    ids=["one model", "two families", "one model in two precisions", "unknown families"],
)
def test_what_is_not_two_sizes_of_one_family_is_undecided(ranks: list[Ranked]) -> None:
    assert set(outcomes(*ranks).values()) == {Outcome.UNDECIDED}


def test_the_difference_of_ranks_is_of_equal_resamples() -> None:
    assert rank_difference(ONE, ONE) == (0, 0)
    low, high = rank_difference(ONE, TWO)
    statistic = RankStatistic.ENTROPY_RANK
    exact = TWO.by_block.values[statistic][0] - ONE.by_block.values[statistic][0]
    assert low < exact < high
    backwards = rank_difference(TWO, ONE)
    assert backwards == pytest.approx((-high, -low))


@pytest.fixture(scope="module")
def result(phantom_model: Model, tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    store = tmp_path_factory.mktemp("rank") / "steergauge.db"
    return run_study(settings(), store=store, models={"mine": phantom_model})


def settings(**changed: Any) -> RankSettings:
    given: dict[str, Any] = {
        "study": "rank",
        "models": ["mine"],
        "contrast": files("steergauge") / "data/prompts/study_contrast.toml",  # what the phantom tells apart
        "doses": (3.0,),
        "directions": 2,
        "max_new_tokens": 12,
        "random_directions": 1,
    }
    return RankSettings.model_validate(given | changed)


def test_the_first_direction_of_the_phantom_steers_as_dim_does_and_its_topics_do_not(
    result: StudyResult,
) -> None:
    rates = {row["direction"]: row["refusal"] for row in result.tables[1].rows}
    assert all(isinstance(rate, Rate) for rate in rates.values())
    assert list(rates) == ["dim", "svd-1", "svd-2"]
    counts = {name: rate.count for name, rate in rates.items() if isinstance(rate, Rate)}
    assert counts["dim"] == 30
    assert counts["svd-2"] == 0
    figure = result.figures[1]
    assert isinstance(figure, StudyFigure)
    assert [(point.x, point.y) for point in figure.series[0].points] == [
        (name, count / 30) for name, count in counts.items()
    ]


def test_twenty_pairs_are_taken_apart_where_no_set_is_named() -> None:
    (part,) = Rank().plan(settings(contrast=None))
    (named,) = Rank().plan(settings())
    assert part.generations == named.generations + 2 * (20 - 5)


def test_its_table_has_a_row_a_model_and_its_figure_a_point_a_block(
    result: StudyResult, phantom: Phantom
) -> None:
    (row,) = result.tables[0].rows
    assert (row["block"], row["pairs"]) == (phantom.blocks // 2, 5)
    told_apart = row["auc_0"]
    assert isinstance(told_apart, Estimate)
    assert told_apart.value == 1
    assert told_apart.low == pytest.approx(0.5655, abs=1e-3)  # Wilson's, of five prompts
    figure = result.figures[0]
    assert isinstance(figure, StudyFigure)
    assert [point.x for point in figure.series[0].points] == pytest.approx(np.arange(6) / 6)


def test_its_plan_counts_all_that_is_steered_with(result: StudyResult) -> None:
    (part,) = Rank().plan(settings())
    (gauge,) = result.gauges.values()
    assert part.conditions == len(gauge.conditions) + 2
    assert result.made_now <= part.generations
    many = {"doses": None, "norm_fractions": tuple(n / 100 for n in range(1, 8)), "directions": 2}
    (more,) = Rank().plan(settings(**many))
    assert more.conditions == 7 * 3 + 2


def test_directions_are_counted_at_one_block() -> None:
    with pytest.raises(ValueError, match="one depth"):
        settings(depths=(0.4, 0.5))
    with pytest.raises(ValueError, match="one depth"):
        settings(models=[{"name": "mine", "depths": (0.4, 0.5)}])
