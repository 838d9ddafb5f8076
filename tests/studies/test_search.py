"""The search against whole grids: recorded ones of real models, invented ones, and some made by hand."""

import statistics
from collections.abc import Mapping, Sequence

import pytest
from grid_beds import Bed, invented, recorded

from steergauge.judging.label import Label
from steergauge.studies.search import (
    Pair,
    Place,
    Prompts,
    Stage,
    cost,
    neighbours,
    search,
    upper_bound,
)
from steergauge.studies.search_record import Side

SEEDS = range(20)
THRESHOLD = 0.6
JUDGES = ("study", "gauge")


class Asked:
    """A bed that remembers what it was asked."""

    def __init__(self, bed: Bed) -> None:
        self.bed, self.waves = bed, list[Mapping[Stage, Sequence[Pair]]]()

    def __call__(self, wave: Mapping[Stage, Sequence[Pair]]) -> list[Label | None]:
        self.waves.append(wave)
        return self.bed.ask(wave)

    @property
    def stages(self) -> list[tuple[Stage, Sequence[Pair]]]:
        return [one for wave in self.waves for one in wave.items()]

    @property
    def pairs(self) -> list[Pair]:
        return [pair for _, pairs in self.stages for pair in pairs]

    @property
    def tokens(self) -> float:
        """As a share of the whole grid's."""
        made = sum(self.bed.tokens[one][int(prompt)] for one, prompt in self.pairs)
        return made / sum(map(sum, self.bed.tokens))


def points(bed: Bed, one: int) -> float:
    """How far a condition is behind the grid's best, in points of all prompts."""
    return 100 * (bed.refusals(bed.best()) - bed.refusals(one)) / len(bed.prompts)


@pytest.mark.parametrize("judge", JUDGES)
def test_on_the_0_5b_it_finds_what_is_as_good_as_the_grids_best_for_a_fifth_of_its_tokens(judge: str) -> None:
    bed = recorded("qwen2.5-coder-0.5b", judge)
    assert len(bed.places) == 30
    as_good, behind, sweep_behind, tokens = 0, [], [], []
    for seed in SEEDS:
        asked, shown = Asked(bed), bed.shown(seed)
        winner = search(bed.places, asked, shown, THRESHOLD).race.winner
        assert winner is not None
        as_good += bed.p_value(winner, bed.best()) >= 0.05
        behind.append(points(bed, winner))
        sweep_behind.append(points(bed, bed.best(shown.choosing)))
        tokens.append(asked.tokens)
        assert len(asked.pairs) <= 0.18 * 900
    assert as_good >= 19
    assert max(tokens) <= 0.2
    # Not significant in 30 prompts may be 20 points: what it loses must also be no more than what a sweep loses.
    assert statistics.mean(behind) <= statistics.mean(sweep_behind)
    assert max(behind) <= 10


@pytest.mark.parametrize("judge", JUDGES)
def test_on_the_1_5b_it_does_so_on_a_grid_of_half_the_size(judge: str) -> None:
    bed = recorded("qwen2.5-coder-1.5b", judge)
    assert len(bed.places) == 15
    winners = [search(bed.places, bed.ask, bed.shown(seed), THRESHOLD).race.winner for seed in SEEDS]
    assert sum(one is not None and bed.p_value(one, bed.best()) >= 0.05 for one in winners) >= 19


@pytest.mark.parametrize("judge", JUDGES)
def test_on_a_model_that_does_not_refuse_it_finds_no_winner_and_stops_early(judge: str) -> None:
    bed = recorded("smollm2-135m", judge)
    assert bed.refusals(bed.best()) <= 2  # none for the study's rule
    for seed in SEEDS:
        asked = Asked(bed)
        assert search(bed.places, asked, bed.shown(seed), THRESHOLD).race.winner is None
        assert {stage for stage, _ in asked.stages} == {Stage.RACE}
        assert len(asked.pairs) <= 0.18 * 900


@pytest.mark.parametrize("judge", JUDGES)
def test_the_doses_that_it_is_sure_of_are_on_the_side_that_the_whole_grid_says(judge: str) -> None:
    bed = recorded("qwen2.5-coder-0.5b", judge)
    right = wrong = 0
    for seed in SEEDS:
        for one, side in search(bed.places, bed.ask, bed.shown(seed), THRESHOLD).sides.items():
            reaches = bed.refusals(one, bed.answered) / len(bed.answered) >= THRESHOLD
            if side is not Side.UNDECIDED:
                right, wrong = (
                    right + (reaches == (side is Side.INSIDE)),
                    wrong + (reaches != (side is Side.INSIDE)),
                )
    assert wrong <= 0.05 * (right + wrong)
    assert right >= 60


def test_on_invented_ridges_it_is_seldom_significantly_behind_the_best() -> None:
    beds = [invented(seed) for seed in range(30)]
    behind = []
    for bed in beds:
        winner = search(bed.places, bed.ask, bed.shown(0), THRESHOLD).race.winner
        reached = bed.refusals(bed.best()) >= THRESHOLD * len(bed.prompts)
        if winner is None:
            behind.append(reached)
        else:
            behind.append(bed.p_value(winner, bed.best()) < 0.05)
    assert sum(behind) <= 2


def test_a_grid_where_nothing_is_refused_has_no_winner() -> None:
    bed = invented(3, refuses=False)
    outcome = search(bed.places, bed.ask, bed.shown(0), THRESHOLD)
    assert outcome.race.winner is None
    assert not outcome.sides
    assert {len(rung.conditions) for rung in outcome.race.rungs} == {30}


def test_the_winner_is_chosen_on_the_choosing_half_alone_and_then_shown_every_prompt() -> None:
    bed = recorded("qwen2.5-coder-0.5b", "study")
    asked, shown = Asked(bed), bed.shown(0)
    outcome = search(bed.places, asked, shown, THRESHOLD)
    for stage, pairs in asked.stages:
        conditions, prompts = {one for one, _ in pairs}, {prompt for _, prompt in pairs}
        if stage is Stage.RACE:
            assert prompts <= set(shown.choosing)
        elif stage is Stage.WINNER:
            assert conditions == {outcome.race.winner}
            assert prompts == {*shown.reporting, *shown.refused}
        else:
            assert len({bed.places[one].block for one in conditions}) == 1
            assert not prompts & set(shown.refused)
    assert outcome.race.winner is not None
    assert set(outcome.sheet.labels[outcome.race.winner]) == set(bed.prompts)


def test_nothing_is_asked_twice_and_it_asks_in_few_waves() -> None:
    asked = Asked(recorded("qwen2.5-coder-0.5b", "study"))
    search(asked.bed.places, asked, asked.bed.shown(0), THRESHOLD)
    assert len(set(asked.pairs)) == len(asked.pairs)
    assert len(asked.waves[0][Stage.RACE]) == 60
    assert [set(wave) for wave in asked.waves] == [{Stage.RACE}] * 3 + [{Stage.WINNER, Stage.WINDOW}]


def test_the_finalists_have_seen_the_same_prompts() -> None:
    bed = recorded("qwen2.5-coder-0.5b", "study")
    shown = bed.shown(0)
    outcome = search(bed.places, bed.ask, shown, THRESHOLD)
    finalists = outcome.race.rungs[-1].conditions
    assert len(finalists) >= 3
    assert all(set(shown.choosing) <= set(outcome.sheet.labels[one]) for one in finalists)


def by_hand(rates: Sequence[Sequence[float]], prompts: int = 30) -> Bed:
    """Blocks of doses, each of which refuses the first so many prompts."""
    places = [
        Place("dim", block, float(dose), float(dose))
        for block, row in enumerate(rates)
        for dose in range(1, len(row) + 1)
    ]
    labels = [
        [Label.REFUSAL if index < rate * prompts else Label.NORMAL for index in range(prompts)]
        for row in rates
        for rate in row
    ]
    return Bed(places, labels, [[1] * prompts for _ in places], [Label.NORMAL] * prompts)


def test_the_window_of_a_clear_cut_block_is_found() -> None:
    bed = by_hand([[0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0.9, 0], [0, 0, 0, 0, 0, 0], [0] * 6, [0] * 6])
    outcome = search(bed.places, bed.ask, bed.shown(0), THRESHOLD)
    assert outcome.race.winner == 8  # of the two that refuse all, the smaller dose
    sides = {bed.places[one].dose: side for one, side in outcome.sides.items()}
    assert [dose for dose, side in sides.items() if side is Side.INSIDE] == [3, 4, 5]
    assert [dose for dose, side in sides.items() if side is Side.OUTSIDE] == [1, 2, 6]


def test_of_the_tied_those_go_on_whose_neighbours_refuse() -> None:
    alone, on_a_ridge = 1, 16
    rates = [[0.0] * 6 for _ in range(5)]
    rates[0][1] = 1
    rates[2][3:6] = [1, 1, 1]
    rates[3][4] = 1
    bed = by_hand(rates)
    assert bed.places[on_a_ridge][:3] == ("dim", 2, 5.0)
    # Five conditions refuse everything and room is left for four beside those: with three, the lone one is out.
    second = search(bed.places, bed.ask, bed.shown(0), THRESHOLD).race.rungs[2].conditions
    assert on_a_ridge in second
    assert alone not in second


def test_neighbours_are_beside_it_and_along_the_ridge() -> None:
    grid = [Place("dim", block, dose, dose) for block in (3, 5, 9) for dose in (1.0, 2.0, 4.0)]
    other = Place("svd", 5, 2.0, 2.0)
    middle = grid.index(Place("dim", 5, 2.0, 2.0))
    found = {grid[one][1:3] for one in neighbours([*grid, other])[middle]}
    assert found == {(5, 1.0), (5, 4.0), (3, 2.0), (9, 2.0), (3, 1.0), (9, 4.0)}
    assert neighbours([*grid, other])[-1] == []


def test_an_output_that_is_unscored_is_no_refusal() -> None:
    def unscored(wave: Mapping[Stage, Sequence[Pair]]) -> list[Label | None]:
        return [None for pairs in wave.values() for _ in pairs]

    bed = by_hand([[1.0] * 6] * 5)
    outcome = search(bed.places, unscored, bed.shown(0), THRESHOLD)
    assert outcome.race.winner is None


def test_a_small_grid_is_raced_to_its_end_though_that_is_more_than_a_fifth() -> None:
    bed = by_hand([[0, 0.5, 1, 0.4, 0]])
    outcome = search(bed.places, bed.ask, bed.shown(0), THRESHOLD)
    assert outcome.race.winner == 2
    assert outcome.race.rungs[-1].prompts == 15
    one = by_hand([[1.0]])
    assert search(one.places, one.ask, one.shown(0), THRESHOLD).race.winner == 0


def test_without_prompts_to_choose_on_there_is_no_winner() -> None:
    bed = by_hand([[1.0, 1.0]])
    nothing = Prompts((), (), tuple(bed.prompts))
    assert search(bed.places, bed.ask, nothing, THRESHOLD).race.winner is None


def test_a_race_costs_what_its_rungs_show() -> None:
    # 30 on 2, 10 on 4, 4 on all 15, as a rung on 8 would send but one of them home.
    assert cost(30, 15) == 30 * 2 + 10 * 2 + 4 * 11
    # 36 on 2, 12 on 4, 4 on all 15; 15 on 2, 5 on 4, 3 on all 15.
    assert cost(36, 15) == 36 * 2 + 12 * 2 + 4 * 11
    assert cost(15, 15) == 15 * 2 + 5 * 2 + 3 * 11
    assert cost(3, 15) == 3 * 15


def test_the_bound_on_nothing_is_the_closed_form() -> None:
    assert upper_bound(0, 4) == pytest.approx(1 - 0.05**0.25)
    assert upper_bound(0, 0) == 1
