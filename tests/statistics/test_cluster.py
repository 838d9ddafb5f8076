import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from steergauge.statistics.cluster import cluster_bootstrap_interval, cluster_difference_interval

CLUSTERS = st.dictionaries(
    st.text(max_size=3), st.lists(st.booleans(), min_size=1, max_size=5), min_size=1, max_size=12
)


def once(successes: int, n: int) -> dict[str, list[bool]]:
    return {str(number): [number < successes] for number in range(n)}


def test_repeats_add_nothing() -> None:
    """Ten prompts five times are ten observations: the study's n = 50."""
    single = once(6, 10)
    assert cluster_bootstrap_interval(single) == cluster_bootstrap_interval(
        {prompt: outcomes * 5 for prompt, outcomes in single.items()}
    )


@pytest.mark.parametrize(("successes", "n"), [(6, 10), (23, 30), (12, 40)])
def test_of_one_sample_a_prompt_the_interval_is_the_binomials(successes: int, n: int) -> None:
    """Resampling n outcomes with replacement draws from a binomial, whose percentiles are known."""
    found = cluster_bootstrap_interval(once(successes, n), resamples=40_000)
    expected = binom.ppf([0.025, 0.975], n, successes / n) / n
    assert abs(found.low - expected[0]) <= 1 / n + 1e-12
    assert abs(found.high - expected[1]) <= 1 / n + 1e-12


def test_clusters_that_agree_within_widen_the_interval() -> None:
    generator = np.random.default_rng(0)
    mixed = {str(number): [bool(one) for one in generator.integers(0, 2, 10)] for number in range(30)}
    apart = {str(number): [number % 2 == 0] * 10 for number in range(30)}
    narrow, wide = cluster_bootstrap_interval(mixed), cluster_bootstrap_interval(apart)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


@settings(max_examples=10)
@given(CLUSTERS)
def test_the_rate_is_within_its_interval_and_a_seed_gives_it_again(clusters: dict[str, list[bool]]) -> None:
    found = cluster_bootstrap_interval(clusters, resamples=500)
    rate = sum(map(sum, clusters.values())) / sum(map(len, clusters.values()))
    assert 0 <= found.low <= rate + 1e-9
    assert rate - 1e-9 <= found.high <= 1
    assert found == cluster_bootstrap_interval(clusters, resamples=500)


def test_a_prompt_without_a_sample_is_refused() -> None:
    for clusters in ({}, {"a": [True], "b": []}):
        with pytest.raises(ValueError, match="at least one prompt"):
            cluster_bootstrap_interval(clusters)


@given(CLUSTERS)
@settings(max_examples=15)
def test_the_difference_from_a_reference_without_successes_is_the_rate(
    outcomes: dict[str, list[bool]],
) -> None:
    nothing = dict.fromkeys(outcomes, False)
    found = cluster_difference_interval(outcomes, nothing, resamples=200)
    assert found == pytest.approx(cluster_bootstrap_interval(outcomes, resamples=200))


def test_the_difference_of_one_sample_a_prompt_is_resampled_with_its_reference() -> None:
    """Eight prompts agree and two are lost: the difference is minus a binomial of .2, and not that of 6 against 8."""
    reference = {str(number): number < 8 for number in range(10)}
    sampled = {str(number): [number < 6] for number in range(10)}
    low, high = cluster_difference_interval(sampled, reference, resamples=40_000)
    expected = -binom.ppf([0.975, 0.025], 10, 0.2) / 10
    assert (low, high) == pytest.approx(tuple(expected))
    equal = {prompt: [outcome] for prompt, outcome in reference.items()}
    assert cluster_difference_interval(equal, reference) == (0, 0)


@pytest.mark.parametrize(
    ("outcomes", "reference"),
    [({}, {}), ({"a": [True]}, {"b": True}), ({"a": [True], "b": []}, {"a": True, "b": True})],
)
def test_a_difference_of_other_prompts_or_without_samples_is_refused(
    outcomes: dict[str, list[bool]], reference: dict[str, bool]
) -> None:
    with pytest.raises(ValueError, match="a difference needs"):
        cluster_difference_interval(outcomes, reference)
