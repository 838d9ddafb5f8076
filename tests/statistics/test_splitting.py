from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steergauge.statistics.splitting import split_prompts

PROMPTS = st.lists(st.text(max_size=8), unique=True, max_size=40)
SEEDS = st.integers(min_value=0, max_value=2**32)


@given(PROMPTS, SEEDS)
def test_every_prompt_is_in_one_half_and_reporting_has_the_odd_one(prompts: list[str], seed: int) -> None:
    choosing, reporting = split_prompts(prompts, seed)
    assert Counter(choosing + reporting) == Counter(prompts)
    assert len(reporting) - len(choosing) == len(prompts) % 2


@given(PROMPTS, SEEDS)
def test_each_half_keeps_the_order_given(prompts: list[str], seed: int) -> None:
    for half in split_prompts(prompts, seed):
        assert half == sorted(half, key=prompts.index)


@given(PROMPTS, SEEDS, st.randoms(use_true_random=False))
def test_the_split_does_not_depend_on_the_order_given(prompts: list[str], seed: int, random: object) -> None:
    choosing, reporting = split_prompts(prompts, seed)
    reordered = sorted(prompts, key=lambda _: random.random())  # type: ignore[attr-defined]
    again = split_prompts(reordered, seed)
    assert (set(again[0]), set(again[1])) == (set(choosing), set(reporting))


def test_the_split_of_a_seed_never_changes() -> None:
    # By the four smallest of Random(0)'s first eight numbers. Published results depend on it.
    assert split_prompts(list("abcdefgh"), seed=0) == (["c", "d", "f", "h"], ["a", "b", "e", "g"])


def test_seeds_split_differently_and_every_prompt_lands_on_both_sides() -> None:
    prompts = [f"prompt {number}" for number in range(30)]
    splits = [split_prompts(prompts, seed)[0] for seed in range(200)]
    assert len({tuple(choosing) for choosing in splits}) == 200
    times_choosing = Counter(prompt for choosing in splits for prompt in choosing)
    # Binomial(200, 1/2): 60 … 140 is over five standard deviations to each side.
    assert all(60 < times_choosing[prompt] < 140 for prompt in prompts)


def test_one_prompt_is_reported_on_and_none_splits_into_none() -> None:
    assert split_prompts(["only"], seed=3) == ([], ["only"])
    assert split_prompts([], seed=3) == ([], [])


def test_a_repeated_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="a prompt is repeated"):
        split_prompts(["a", "b", "a"], seed=0)
