"""What the studies conclude from gauges whose outcomes are given, prompt by prompt."""

import math
from collections.abc import Sequence
from itertools import product

import pytest
from invented import Given, bench, invented
from records import PROMPTS, rate

from steergauge.errors import SteergaugeError
from steergauge.statistics.comparisons import adjust_holm
from steergauge.statistics.splitting import split_prompts
from steergauge.studies.experiments.architecture import Architecture
from steergauge.studies.experiments.comparisons import compared_in_pairs
from steergauge.studies.experiments.conditions import paired
from steergauge.studies.experiments.depth import Depth, DepthSettings, bootstrap_best
from steergauge.studies.experiments.dose import DoseSettings, DoseStudy
from steergauge.studies.experiments.scale import Scale, ScaleSettings, Sized, trend_row
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_result import Estimate, Outcome, StudyFindings, StudyTable
from steergauge.studies.study_settings import StudySettings

ALL, NONE = PROMPTS, PROMPTS[:0]
REFUSES_ALL, REFUSES_NONE = invented(Given(refused=ALL)), invented(Given())
UNASKABLE = invented(Given(refused=ALL), unsteered=ALL)


def table(findings: StudyFindings, name: str) -> StudyTable:
    return next(one for one in findings.tables if one.name == name)


def architecture(**gauges: GaugeResult) -> StudyFindings:
    names = [name.replace("_", "-") for name in gauges]
    settings = StudySettings.model_validate({"study": "architecture", "models": names})
    return Architecture().run(settings, bench(dict(zip(names, gauges.values(), strict=True))))


def outcome(findings: StudyFindings) -> Outcome:
    (own,) = (one for one in findings.conclusions if not one.id)  # the others answer the paper's claims
    return own.outcome


# Pairs


def test_two_single_conditions_are_compared_on_all_prompts_that_neither_model_refuses_unsteered() -> None:
    first = invented(Given(refused=ALL), unsteered=PROMPTS[:3])
    second = invented(Given(), unsteered=PROMPTS[2:7])
    (row,) = compared_in_pairs({"a": first, "b": second})
    assert row["prompts"] == 23
    assert row["p"] == pytest.approx(2 * 0.5**23)
    assert row["h"] == pytest.approx(math.pi)
    assert isinstance(difference := row["difference"], Estimate)
    assert difference.value == 1


def test_chosen_conditions_are_compared_on_the_half_that_they_were_not_chosen_on() -> None:
    choosing, reporting = split_prompts(PROMPTS, seed=0)
    # The first condition is best on the choosing half alone: on the other half it does nothing.
    lucky = invented(Given(value=1, refused=choosing), Given(value=2, refused=reporting))
    steady = invented(Given(value=1, refused=ALL), Given(value=2))
    (row,) = compared_in_pairs({"lucky": lucky, "steady": steady})
    assert row["prompts"] == len(reporting) == 15
    assert isinstance(difference := row["difference"], Estimate)
    assert difference.value == -1


def test_pairs_without_prompts_have_a_row_without_numbers_and_no_part_in_the_correction() -> None:
    rows = compared_in_pairs({"a": REFUSES_ALL, "b": UNASKABLE, "c": REFUSES_NONE, "d": REFUSES_ALL})
    assert [(row["first"], row["second"], row["prompts"]) for row in rows] == [
        ("a", "b", 0), ("a", "c", 30), ("a", "d", 30), ("b", "c", 0), ("b", "d", 0), ("c", "d", 30),
    ]  # fmt: skip
    measured = [row for row in rows if row["prompts"]]
    assert [row["p_adjusted"] for row in measured] == adjust_holm([2 * 0.5**30, 1.0, 2 * 0.5**30])
    assert all(row.keys() == {"first", "second", "prompts"} for row in rows if not row["prompts"])
    with pytest.raises(SteergaugeError, match="there are none"):
        paired((REFUSES_ALL, "block5-1"), (UNASKABLE, "block5-1"))


# Architecture


def test_families_differ_where_a_pair_of_different_families_does() -> None:
    found = architecture(smollm2_135m=REFUSES_ALL, gemma_3_270m=REFUSES_NONE)
    assert outcome(found) is Outcome.SUPPORTED
    assert "1 of 1" in found.conclusions[0].evidence


def test_models_of_one_family_that_differ_say_nothing_about_families() -> None:
    settings = StudySettings.model_validate({"study": "architecture", "models": ["gemma-2-2b", "gemma-2-9b"]})
    found = Architecture().run(settings, bench({"gemma-2-2b": REFUSES_ALL, "gemma-2-9b": REFUSES_NONE}))
    assert outcome(found) is Outcome.UNDECIDED
    assert table(found, "pairs").rows[0]["p_adjusted"] == pytest.approx(2 * 0.5**30)
    assert "No two models are of different families" in found.conclusions[0].evidence


def test_a_model_in_two_precisions_is_one_family_also_where_the_catalogue_does_not_know_it() -> None:
    models = [{"name": "./mine", "precision": one} for one in ("float32", "bfloat16")]
    settings = StudySettings.model_validate({"study": "architecture", "models": models})
    gauges = {"./mine, float32": REFUSES_ALL, "./mine, bfloat16": REFUSES_NONE}
    assert outcome(Architecture().run(settings, bench(gauges))) is Outcome.UNDECIDED


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        (29, Outcome.NOT_SUPPORTED),  # one prompt of 30: the interval is −17 to +9 points
        (26, Outcome.UNDECIDED),  # four prompts: not significant, and the interval goes past 20 points
        (24, Outcome.SUPPORTED),  # six prompts, all one way: p = 2/64
    ],
)
def test_families_are_alike_only_where_the_interval_is_narrow(others: int, expected: Outcome) -> None:
    found = architecture(smollm2_135m=REFUSES_ALL, gemma_3_270m=invented(Given(refused=PROMPTS[:others])))
    assert outcome(found) is expected


def test_fifteen_prompts_that_all_agree_are_too_few_to_say_that_families_are_alike() -> None:
    both = invented(Given(value=1, refused=ALL), Given(value=2))
    assert outcome(architecture(smollm2_135m=both, gemma_3_270m=both)) is Outcome.UNDECIDED


def test_a_model_that_refuses_everything_unsteered_has_a_row_and_decides_nothing() -> None:
    found = architecture(smollm2_135m=REFUSES_ALL, gemma_3_270m=UNASKABLE)
    assert outcome(found) is Outcome.UNDECIDED
    first, second = table(found, "models").rows
    assert first["refusal"] == rate(30, 30)
    assert "refusal" not in second
    assert second["unsteered"] == rate(30, 30)
    assert [point.x for point in found.figures[0].series[0].points] == ["smollm2-135m"]  # type: ignore[union-attr]


def test_one_model_alone_has_a_table_and_no_pair() -> None:
    found = architecture(smollm2_135m=REFUSES_ALL)
    assert outcome(found) is Outcome.UNDECIDED
    assert [len(one.rows) for one in found.tables] == [1, 0]


# Scale


def scale(gauges: dict[str, tuple[float, GaugeResult]]) -> StudyFindings:
    settings = ScaleSettings.model_validate(
        {
            "study": "scale",
            "raw_dose": 2,
            "relative_dose": 0.1,
            "models": [{"name": name, "parameters": size} for name, (size, _) in gauges.items()],
        }
    )
    found = {
        f"{name}, {what}": gauge
        for name, (_, gauge) in gauges.items()
        for what in ("best", "α = 2", "0.1 × R")
    }
    return Scale().run(settings, bench(found))


def sized(*counts: int, billions: Sequence[float] = (), of: int = 30) -> list[Sized]:
    sizes = billions or range(1, len(counts) + 1)
    return [
        Sized(f"m{at}", size, rate(count, of))
        for at, (count, size) in enumerate(zip(counts, sizes, strict=True))
    ]


def test_the_trend_of_the_papers_qwen_models_is_that_of_the_exact_test_by_enumeration() -> None:
    counts = (30, 30, 27, 23)  # paper, section 5.2, at 30 prompts
    row = trend_row(sized(*counts))
    # All ways to place the ten failures, by the sum of their scores.
    ways: dict[int, int] = {}
    for failures in product(range(11), repeat=4):
        if sum(failures) == 10:
            total = sum(score * count for score, count in enumerate(failures))
            ways[total] = ways.get(total, 0) + math.prod(math.comb(30, count) for count in failures)
    observed = abs(3 * 2 + 7 * 3 - 15)
    exact = sum(count for total, count in ways.items() if abs(total - 15) >= observed) / math.comb(120, 10)
    assert row["exact"] == pytest.approx(exact)
    assert isinstance(z := row["z"], float)
    assert z < 0
    assert row["rates"] == "m0 30/30, m1 30/30, m2 27/30, m3 23/30"


def test_equal_sizes_have_equal_scores() -> None:
    together, apart = trend_row(sized(20, 10, 15, billions=(1, 1, 2))), trend_row(sized(15, 15, 15))
    assert together["z"] == pytest.approx(0)
    assert together["exact"] == apart["exact"] == 1
    unequal = trend_row(sized(20, 10, 15))
    assert unequal["z"] != pytest.approx(0)


@pytest.mark.parametrize("measured", [[], sized(20), sized(20, 5, billions=(3, 3))])
def test_there_is_no_trend_without_two_sizes(measured: list[Sized]) -> None:
    assert "exact" not in trend_row(measured)


@pytest.mark.parametrize(
    ("small", "large", "expected"),
    [
        (REFUSES_ALL, REFUSES_NONE, Outcome.SUPPORTED),
        (REFUSES_NONE, REFUSES_ALL, Outcome.NOT_SUPPORTED),
        (REFUSES_ALL, REFUSES_ALL, Outcome.UNDECIDED),
        (REFUSES_ALL, UNASKABLE, Outcome.UNDECIDED),
    ],
)
def test_scale_says_whether_the_rate_falls_with_size(
    small: GaugeResult, large: GaugeResult, expected: Outcome
) -> None:
    found = scale({"large": (7, large), "small": (0.5, small)})
    assert [one.outcome for one in found.conclusions if not one.id] == [expected] * 3
    assert [row["model"] for row in table(found, "sizes").rows] == ["small", "large"] * 3


def test_at_their_best_sizes_are_compared_by_the_rate_that_was_not_chosen() -> None:
    choosing, reporting = split_prompts(PROMPTS, seed=0)
    lucky = invented(Given(value=1, refused=choosing), Given(value=2, refused=reporting))
    found = scale({"small": (0.5, lucky), "large": (7, lucky)})
    assert table(found, "trend").rows[0]["rates"] == "small 0/15, large 0/15"


def test_families_that_are_mixed_are_a_caution() -> None:
    found = scale({"gemma-2-2b": (2, REFUSES_ALL), "qwen2.5-3b": (3, REFUSES_ALL)})
    assert "several families (Gemma, Qwen)" in found.cautions[0]


# Depth


def test_the_bootstrap_of_the_best_is_that_of_all_resamples_of_three_prompts() -> None:
    outcomes = {"a": [True, True, False], "b": [False, True, True], "c": [False, False, True]}
    exact = dict.fromkeys(outcomes, 0.0)
    for draw in product(range(3), repeat=3):
        counts = {name: sum(of[prompt] for prompt in draw) for name, of in outcomes.items()}
        best = [name for name, count in counts.items() if count == max(counts.values())]
        for name in best:
            exact[name] += 1 / len(best) / 27
    found = bootstrap_best(outcomes, resamples=200_000, seed=1)
    assert found == pytest.approx(exact, abs=0.005)
    assert sum(found.values()) == pytest.approx(1)
    assert bootstrap_best(outcomes, resamples=100, seed=1) == bootstrap_best(outcomes, resamples=100, seed=1)


def depth(gauge: GaugeResult) -> dict[str, object]:
    settings = DepthSettings.model_validate(
        {"study": "depth", "models": ["mine/it"], "doses": [1], "resamples": 500}
    )
    (row,) = table(Depth().run(settings, bench({"mine/it": gauge})), "best").rows
    return dict(row)


def test_depths_that_tie_are_all_best_and_share_the_resamples() -> None:
    row = depth(
        invented(
            Given(3, refused=PROMPTS[:20]), Given(4, refused=PROMPTS[:20]), Given(5, refused=PROMPTS[:2])
        )
    )
    assert (row["best"], row["set"]) == ("30%, 40%", "30%, 40%")
    assert row["certainty"] == pytest.approx(1)


def test_a_best_depth_by_one_prompt_is_not_certain() -> None:
    row = depth(invented(Given(3, refused=PROMPTS[:16]), Given(6, refused=PROMPTS[15:])))
    assert row["best"] == "30%"
    assert row["set"] == "30%, 60%"
    assert isinstance(certainty := row["certainty"], float)
    assert 0.5 < certainty < 0.7


@pytest.mark.parametrize("gauge", [UNASKABLE, invented(Given(3), Given(4, garbled=ALL))])
def test_there_is_no_best_depth_where_none_refuses_or_no_prompt_counts(gauge: GaugeResult) -> None:
    assert depth(gauge) == {"model": "mine/it"}


# Dose


def dose(gauge: GaugeResult) -> dict[str, object]:
    settings = DoseSettings.model_validate({"study": "dose", "models": ["mine/it"]})
    found = DoseStudy().run(settings, bench({"mine/it": gauge}))
    (row,) = table(found, "windows").rows
    return dict(row)


def test_the_window_is_the_run_of_doses_at_the_threshold_and_each_side_shows_how_it_fails() -> None:
    row = dose(
        invented(
            Given(value=1, refused=PROMPTS[:4]),
            Given(value=2, refused=PROMPTS[:20]),
            Given(value=4, refused=ALL),
            Given(value=8, refused=PROMPTS[:3], garbled=PROMPTS[3:]),
        )
    )
    assert (row["from"], row["to"], row["width"], row["relative"]) == (2, 4, 2, "0.2 to 0.4")
    assert row["peak"] == rate(30, 30)
    assert row["below"] == f"α = 1: 4 refused, 0 garbled, 26 normal; normal: “normal to {PROMPTS[4]}”"
    assert row["above"] == f"α = 8: 3 refused, 27 garbled, 0 normal; garbled: “garbled to {PROMPTS[3]}”"
    assert row["outputs"] == "mine/it: block5-4"


def test_a_window_at_the_edge_of_what_was_tried_is_open_there() -> None:
    row = dose(invented(Given(value=2, refused=ALL), Given(value=3, refused=ALL)))
    assert row["relative"] == "≤ 0.2 to ≥ 0.3"
    assert row["below"] == row["above"] == "none was tried"


def test_negative_doses_have_a_window_by_size_and_one_across_zero_has_no_ratio() -> None:
    assert dose(invented(Given(value=-4, refused=ALL), Given(value=-1, refused=ALL)))["width"] == 4
    across = dose(invented(Given(value=-1, refused=ALL), Given(value=2, refused=ALL)))
    assert (across["from"], across["to"], across["width"]) == (-1, 2, None)


@pytest.mark.parametrize("gauge", [UNASKABLE, invented(Given(value=1, refused=PROMPTS[:10]))])
def test_without_a_window_there_are_only_the_highest_rate_and_its_neighbours(gauge: GaugeResult) -> None:
    row = dose(gauge)
    assert not row.keys() & {"from", "to", "width", "relative"}
    assert row["below"] == "none was tried"
