import pytest
from hypothesis import given
from hypothesis import strategies as st

from steergauge.directions.split import Sizes, split_classes
from steergauge.errors import SteergaugeError

SIZES = Sizes(180, 100)


def prompts(name: str, count: int) -> list[str]:
    return [f"{name} {index}" for index in range(count)]


@given(st.integers(2, 600), st.integers(2, 600), st.integers(0, 1000))
def test_every_class_gives_disjoint_prompts_to_fit_and_to_select(ours: int, theirs: int, seed: int) -> None:
    split = split_classes(prompts("harmful", ours), prompts("harmless", theirs), SIZES, seed)
    for fit, select, count in (
        (split.fit_positive, split.select_positive, ours),
        (split.fit_negative, split.select_negative, theirs),
    ):
        assert not set(fit) & set(select)
        assert 1 <= len(fit) <= 180
        assert 1 <= len(select) <= 100
        assert len(fit) + len(select) == min(count, 280)


@pytest.mark.parametrize(
    ("count", "fit", "select"), [(2, 1, 1), (5, 3, 2), (28, 18, 10), (280, 180, 100), (1000, 180, 100)]
)
def test_the_source_s_sizes_are_scaled_down(count: int, fit: int, select: int) -> None:
    split = split_classes(prompts("harmful", count), prompts("harmless", count), SIZES, 0)
    assert (len(split.fit_positive), len(split.select_positive)) == (fit, select)


def test_classes_of_one_size_stay_in_pairs() -> None:
    split = split_classes(prompts("a", 30), prompts("b", 30), SIZES, 3)
    assert [prompt[1:] for prompt in split.fit_positive] == [prompt[1:] for prompt in split.fit_negative]
    assert [prompt[1:] for prompt in split.select_positive] == [
        prompt[1:] for prompt in split.select_negative
    ]


def test_the_seed_decides() -> None:
    one, same, other = (split_classes(prompts("a", 30), prompts("b", 30), SIZES, seed) for seed in (0, 0, 1))
    assert one == same
    assert one != other


def test_a_single_prompt_cannot_both_fit_and_select() -> None:
    with pytest.raises(SteergaugeError, match=r"1 positive and 5 negative prompts.* two of each"):
        split_classes(prompts("a", 1), prompts("b", 5), SIZES, 0)
