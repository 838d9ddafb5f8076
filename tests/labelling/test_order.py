from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from steergauge.labelling.order import Showing, reading_order

# Three conditions of very different sizes.
STRATA = {
    f"{name}{number}": name for name, size in (("a", 60), ("b", 30), ("c", 10)) for number in range(size)
}


def order(
    rater: str = "anna", sample: int | None = None, retest: float = 0.0, seed: int = 0
) -> list[Showing]:
    return reading_order(STRATA, rater, sample, retest, seed)


def test_every_output_is_shown_once_and_the_retest_items_twice() -> None:
    shown = Counter(showing.key for showing in order(retest=0.2))
    assert set(shown) == set(STRATA)
    assert Counter(shown.values()) == {1: 80, 2: 20}


def test_every_condition_has_its_turn_before_any_has_a_second_one() -> None:
    conditions = [STRATA[showing.key] for showing in order()]
    for turn in range(10):
        assert sorted(conditions[3 * turn : 3 * turn + 3]) == ["a", "b", "c"]


def test_within_a_turn_the_conditions_are_shuffled() -> None:
    conditions = [STRATA[showing.key] for showing in order()]
    assert len({tuple(conditions[3 * turn : 3 * turn + 3]) for turn in range(10)}) > 1


def test_all_raters_read_the_same_sample_each_in_an_order_of_their_own() -> None:
    anna, ben = order("anna", sample=40), order("ben", sample=40)
    assert anna != ben
    assert {one.key for one in anna} == {one.key for one in ben}
    assert Counter(STRATA[one.key] for one in anna) == {"a": 15, "b": 15, "c": 10}


def test_another_seed_draws_another_sample() -> None:
    assert {one.key for one in order(sample=40)} != {one.key for one in order(sample=40, seed=1)}


@given(st.integers(1, 100), st.floats(0, 1), st.text(max_size=5))
def test_a_second_showing_comes_after_the_first_and_25_later_where_there_are_so_many(
    sample: int, retest: float, rater: str
) -> None:
    shown = order(rater, sample, retest)
    assert len(shown) == len(set(shown)) == sample + round(retest * sample)
    for place, (key, showing) in enumerate(shown):
        if showing == 2:
            before = shown.index(Showing(key, 1))
            between = [one for one in shown[before + 1 : place] if one.showing == 1]
            assert len(between) >= min(25, len([one for one in shown[before + 1 :] if one.showing == 1]))
