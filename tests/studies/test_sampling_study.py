"""Samples of the phantom, whose first token's probabilities are known, and what the rule makes of samples."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import SMALL

from steergauge.judging.label import Label
from steergauge.models.loading import Model
from steergauge.statistics.cluster import cluster_bootstrap_interval
from steergauge.store import Store
from steergauge.studies.experiments.conditions import answered, best_of, labels_of
from steergauge.studies.experiments.sampled import BEST, CONTROL, Sampled
from steergauge.studies.experiments.sampling import SamplingSettings, SamplingStudy, conclude
from steergauge.studies.study import run_study
from steergauge.studies.study_result import Estimate, Outcome, StudyFigure, StudyResult
from steergauge.studies.study_settings import StudiedModel

COLD, WARM = 0.05, 2.0
SAMPLES = 2


def settings(**changed: Any) -> SamplingSettings:
    given: dict[str, Any] = {
        "study": "sampling",
        "models": ["mine"],
        "depths": (0.5,),
        "doses": (2.2,),
        "temperatures": (COLD, WARM),
        "samples": SAMPLES,
        "max_new_tokens": 12,
        "random_directions": 1,
    }
    return SamplingSettings.model_validate(given | changed)


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sampling") / "steergauge.db"


@pytest.fixture(scope="module")
def result(phantom_model: Model, store_path: Path) -> StudyResult:
    return run_study(settings(), store=store_path, models={"mine": phantom_model})


def row(result: StudyResult, condition: str, temperature: float) -> dict[str, Any]:
    return next(
        dict(row)
        for row in result.tables[0].rows
        if (row["condition"], row["temperature"]) == (condition, temperature)
    )


def test_greedy_rates_are_the_gauge_s(result: StudyResult) -> None:
    best = best_of(result.gauges["mine"])
    assert best is not None
    assert 0 < best.effect.count < 30
    for temperature in (COLD, WARM):
        assert row(result, BEST, temperature)["greedy"] == best.effect.rate
        assert row(result, CONTROL, temperature)["greedy"] == 0
    (figure,) = result.figures
    assert isinstance(figure, StudyFigure)
    assert [series.points[0].y for series in figure.series] == [best.effect.rate, 0]
    assert [point.x for point in figure.series[0].points] == [0, COLD, WARM]


def test_near_temperature_zero_samples_say_what_greedy_decoding_says_and_at_two_they_do_not(
    result: StudyResult,
) -> None:
    cold, warm = row(result, BEST, COLD), row(result, BEST, WARM)
    assert abs(cold["difference"].value) <= 2 / 30  # a prompt may lie at the threshold
    assert warm["steady"] < cold["steady"]
    assert row(result, CONTROL, COLD)["refusal"] == Estimate(value=0, low=0, high=0)


def test_samples_and_their_labels_are_in_the_store_and_their_intervals_are_of_clusters(
    result: StudyResult, store_path: Path
) -> None:
    with Store(store_path) as store:
        kept = store.to_pandas()
    gauge = result.gauges["mine"]
    best = best_of(gauge)
    assert best is not None
    sampled = kept[kept.decoding.str.contains(f'"temperature":{WARM}')]
    steered = sampled[~sampled.steering.isin(_steerings(kept, gauge, "unsteered"))]
    assert len(steered) == SAMPLES * len(answered(gauge)) == SAMPLES * 30
    outcomes = {
        prompt: [label == Label.REFUSAL.value for label in rows.label]
        for prompt, rows in steered.groupby("prompt", sort=False)
    }
    told = row(result, BEST, WARM)
    ordered = {prompt: outcomes[prompt] for prompt in answered(gauge)}
    low, high = cluster_bootstrap_interval(ordered)
    share = float(np.mean(list(ordered.values())))
    assert (told["refusal"].low, told["refusal"].high) == (low, high)
    assert told["refusal"].value == pytest.approx(share)
    greedy = labels_of(gauge, best.id)
    greedy_share = np.mean([greedy[prompt] is Label.REFUSAL for prompt in ordered])
    assert told["difference"].value == pytest.approx(share - greedy_share)


def _steerings(kept: Any, gauge: Any, condition: str) -> set[str]:
    keys = {one.key for one in gauge.generations if one.condition == condition}
    return set(kept[kept.key.isin(keys)].steering)


def test_a_second_run_samples_nothing_and_a_plan_is_no_less_than_the_first_made(
    result: StudyResult, phantom_model: Model, store_path: Path
) -> None:
    again = run_study(settings(), store=store_path, models={"mine": phantom_model})
    assert again.made_now == 0
    assert again.tables == result.tables
    grid, sampled = SamplingStudy().plan(settings())
    assert sampled.generations == 2 * 2 * SAMPLES * 30
    assert sampled.generations < result.made_now <= grid.generations + sampled.generations


def sampled(greedy: int, refusing: int, n: int = 30, condition: str = BEST) -> Sampled:
    """The first `greedy` of n prompts are refused greedily, and all samples of the first `refusing`."""
    prompts = [str(number) for number in range(n)]

    def labels(count: int) -> dict[str, Label]:
        return {prompt: Label.REFUSAL if int(prompt) < count else Label.NORMAL for prompt in prompts}

    return Sampled(
        model=StudiedModel(name=SMALL),
        condition=condition,
        temperature=1.0,
        greedy=labels(greedy),
        samples={prompt: [label] * 3 for prompt, label in labels(refusing).items()},
    )


def test_samples_that_could_not_be_read_are_left_out_of_rates_and_differences() -> None:
    whole = sampled(20, 16)
    ragged = whole._replace(samples={**whole.samples, "0": [Label.REFUSAL], "29": [Label.NORMAL] * 2})
    assert ragged.rate(Label.REFUSAL).value == pytest.approx((15 * 3 + 1) / (28 * 3 + 3))
    difference = ragged.difference
    assert difference.value == pytest.approx(46 / 87 - 20 / 30)
    assert difference.low is not None
    assert difference.high is not None
    assert difference.low < 46 / 87 - 20 / 30 < difference.high < 0


@pytest.mark.parametrize(
    ("these", "outcome"),
    [
        ([sampled(27, 27)], Outcome.SUPPORTED),
        ([sampled(27, 26), sampled(3, 3)], Outcome.SUPPORTED),
        ([sampled(20, 16)], Outcome.NOT_SUPPORTED),  # on both sides of 60%, and apart
        ([sampled(27, 27), sampled(20, 16)], Outcome.NOT_SUPPORTED),
        ([sampled(18, 17)], Outcome.UNDECIDED),  # on both sides, and not apart
        ([sampled(30, 20)], Outcome.UNDECIDED),  # on one side, but far
        ([sampled(27, 27, condition=CONTROL)], Outcome.UNDECIDED),
        ([], Outcome.UNDECIDED),
    ],
)
def test_the_greedy_verdict_holds_by_the_rule(these: list[Sampled], outcome: Outcome) -> None:
    found = conclude(these)
    assert (found.id, found.outcome) == ("greedy", outcome)


@pytest.mark.parametrize("temperatures", [(0.0,), (-1.0,), (float("inf"),), (float("nan"),), (1.0, 1.0), ()])
def test_temperatures_are_distinct_and_above_zero(temperatures: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="temperatures"):
        settings(temperatures=temperatures)
