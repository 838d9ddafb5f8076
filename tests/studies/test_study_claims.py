"""The paper's claims on invented gauges, by the rules of `data/claims.toml`."""

from collections.abc import Sequence

import pytest
from invented import Given, invented
from phantoms import LARGE, OTHER, SMALL
from records import PROMPTS

from steergauge.statistics.splitting import split_prompts
from steergauge.studies.experiments import (
    architecture_claims,
    depth_claims,
    dose_claims,
    method_claims,
    scale_claims,
)
from steergauge.studies.experiments.contests import beside, corrected
from steergauge.studies.experiments.depth import DepthSettings, best_depth
from steergauge.studies.experiments.dose_claims import window_factor
from steergauge.studies.result import GaugeResult, SelectionRecord, VerdictName
from steergauge.studies.study_result import Cell, Conclusion, Estimate, Outcome
from steergauge.studies.study_settings import StudiedModel

YES, NO, OPEN = Outcome.SUPPORTED, Outcome.NOT_SUPPORTED, Outcome.UNDECIDED
ALL, NONE = invented(Given(refused=PROMPTS)), invented(Given())
HALF, THIRD = (invented(Given(refused=PROMPTS[::step])) for step in (2, 3))


def outcomes(conclusions: Sequence[Conclusion]) -> dict[str, Outcome]:
    return {one.id: one.outcome for one in conclusions}


def invalid(result: GaugeResult) -> GaugeResult:
    return result.model_copy(
        update={"verdict": result.verdict.model_copy(update={"verdict": VerdictName.INVALID})}
    )


def architecture(**gauges: GaugeResult) -> dict[str, Outcome]:
    names = {"small": SMALL, "large": LARGE, "other": OTHER, "mine": "mine"}
    models = [StudiedModel(name=names[name]) for name in gauges]
    return outcomes(
        architecture_claims.answers(
            models, dict(zip((one.label for one in models), gauges.values(), strict=True))
        )
    )


def test_a_model_that_refuses_unsteered_refutes_that_none_does() -> None:
    assert architecture(small=ALL, other=NONE)["unsteered"] is YES
    assert architecture(small=ALL, other=invented(Given(), unsteered=PROMPTS[:1]))["unsteered"] is NO


def test_every_qwen_model_must_reach_sixty_percent_with_its_whole_interval() -> None:
    assert architecture(small=ALL, large=ALL, other=NONE)["qwen-steerable"] is YES
    assert architecture(small=ALL, large=HALF)["qwen-steerable"] is OPEN
    assert architecture(small=ALL, large=NONE)["qwen-steerable"] is NO
    assert architecture(other=NONE)["qwen-steerable"] is OPEN
    assert architecture(small=ALL, large=invalid(NONE))["qwen-steerable"] is YES


def test_a_gate_needs_two_families_of_which_one_is_shut_and_one_is_wide() -> None:
    assert architecture(small=ALL, other=NONE)["binary-gate"] is YES
    assert architecture(small=ALL, other=ALL)["binary-gate"] is NO
    assert architecture(small=ALL, other=THIRD)["binary-gate"] is OPEN
    assert architecture(small=ALL, large=NONE)["binary-gate"] is OPEN  # one family
    assert architecture(small=ALL, mine=NONE)["binary-gate"] is OPEN  # of no known family
    assert architecture(small=ALL, other=invalid(NONE))["binary-gate"] is OPEN


def trend(z: float | None, exact: float | None) -> dict[str, Cell]:
    return {"rates": "a 1/2, b 2/2"} | ({} if z is None else {"z": z, "exact": exact})


def pair(low: float, high: float) -> dict[str, Cell]:
    return {"difference": Estimate(value=0, low=low, high=high)}


@pytest.mark.parametrize(
    ("best", "pairs", "equal", "expected"),
    [
        (trend(-3.0, 0.01), [pair(-0.6, -0.3)], trend(-3.0, 0.01), [YES, YES]),
        (trend(3.0, 0.01), [pair(0.3, 0.6)], trend(3.0, 0.049), [NO, NO]),
        (trend(-1.0, 0.2), [pair(-0.3, 0.1)], trend(-1.0, 0.05), [OPEN, OPEN]),
        (trend(0.0, 1.0), [pair(-0.2, 0.2)], trend(0.0, 1.0), [NO, OPEN]),
        (trend(0.0, 1.0), [pair(-0.2, 0.2), {}], trend(None, None), [OPEN, OPEN]),
        (trend(None, None), [], trend(None, None), [OPEN, OPEN]),
    ],
)
def test_sizes_decline_by_the_trend_and_are_alike_by_all_pairs(
    best: dict[str, Cell], pairs: list[dict[str, Cell]], equal: dict[str, Cell], expected: list[Outcome]
) -> None:
    sizes = [StudiedModel(name=SMALL), StudiedModel(name=LARGE)]
    assert list(outcomes(scale_claims.answers(sizes, (best, pairs), equal)).values()) == expected
    for models in ([*sizes, StudiedModel(name=OTHER)], [StudiedModel(name="mine", parameters=1)]):
        found = scale_claims.answers(models, (best, pairs), equal)
        assert {one.outcome for one in found} == {OPEN}


def depth(*given: Given, name: str = SMALL) -> dict[str, Outcome]:
    model, result = StudiedModel(name=name), invented(*given)
    settings = DepthSettings.model_validate(
        {"study": "depth", "models": [name], "doses": [1.0], "resamples": 200}
    )
    best = best_depth(result, settings)
    return outcomes(depth_claims.answers([model], {name: result}, {name: best}))


def test_a_best_depth_is_in_the_middle_outside_or_uncertain() -> None:
    assert depth(Given(5, refused=PROMPTS), Given(7))["best-depth"] is YES
    assert depth(Given(3, refused=PROMPTS), Given(5))["best-depth"] is NO
    assert depth(Given(3, refused=PROMPTS), Given(6, refused=PROMPTS[1:]))["best-depth"] is OPEN
    assert depth(Given(3, refused=PROMPTS), Given(5), name=OTHER)["best-depth"] is OPEN
    assert depth(Given(3), Given(5))["best-depth"] is OPEN


def test_late_blocks_collapse_stay_or_cannot_be_told() -> None:
    assert depth(Given(5, refused=PROMPTS), Given(7))["late-collapse"] is YES
    assert depth(Given(5), Given(7, refused=PROMPTS))["late-collapse"] is NO  # the best is late
    assert depth(Given(5, refused=PROMPTS), Given(7, refused=PROMPTS))["late-collapse"] is NO
    assert depth(Given(5, refused=PROMPTS), Given(7, refused=PROMPTS[4:]))["late-collapse"] is OPEN
    assert depth(Given(5, refused=PROMPTS), Given(6))["late-collapse"] is OPEN  # 70% was not tried
    assert depth(Given(5, refused=PROMPTS[:9]), Given(7))["late-collapse"] is OPEN  # reaches 60% nowhere


def dose(*reach: float, tried: Sequence[float], name: str = SMALL) -> Outcome:
    result = invented(*(Given(value=one, refused=PROMPTS if one in reach else ()) for one in tried))
    (found,) = dose_claims.answers([StudiedModel(name=name)], {name: result.conditions})
    return found.outcome


def test_a_window_spans_at_least_its_doses_and_less_than_their_neighbours() -> None:
    conditions = invented(
        *(Given(value=one, refused=PROMPTS if one in (2, 3) else ()) for one in (1, 2, 3, 6))
    )
    assert window_factor(conditions.conditions) == (1.5, 6)
    assert window_factor(NONE.conditions) is None
    assert dose(2, 4, tried=(1, 2, 4, 8)) is YES
    assert dose(15, 20, 25, tried=(15, 20, 25)) is YES
    assert dose(2, tried=(1.8, 2, 2.2)) is NO
    assert dose(2, tried=(1, 2, 4)) is OPEN  # the grid is too coarse to say that it is narrow
    assert dose(2, tried=(1.8, 2)) is OPEN  # open above
    assert dose(tried=(1, 2)) is OPEN
    assert dose(2, 4, tried=(1, 2, 4), name="mine") is OPEN  # of no known size


def _selected(block: int) -> SelectionRecord:
    prompts = {
        f"{part}_{kind}": list[str]() for part in ("fit", "select") for kind in ("positive", "negative")
    }
    return SelectionRecord(
        intervention="linear",
        block=block,
        layer=block + 1,
        position=-1,
        low_layers=[],
        rows=0,
        passes=0,
        candidates=[],
        **prompts,
    )


def test_cosmic_at_its_own_block_is_compared_with_itself_swept() -> None:
    chosen, swept = Given(7), Given(5, refused=PROMPTS)
    dim = invented(swept)

    def measured(own: Given) -> GaugeResult:
        both = invented(swept, own)
        conditions = [
            one.model_copy(update={"method": method, "id": one.id})
            for method in ("dim", "cosmic_study")
            for one in both.conditions
        ]
        return both.model_copy(
            update={
                "conditions": conditions,
                "protocol": both.protocol.model_copy(update={"depths": [0.5]}),
                "directions": [
                    dim.directions[0].model_copy(update={"method": "dim", "selection": None}),
                    dim.directions[0].model_copy(
                        update={"method": "cosmic_study", "selection": _selected(7)}
                    ),
                ],
            }
        )

    def found(own: Given, first: str = "dim") -> dict[str, Outcome]:
        all_beside = corrected([beside(SMALL, "dim", "cosmic_study", measured(own))])
        return outcomes(method_claims.answers(first, all_beside))

    assert found(chosen) == {"dim-matches-cosmic": YES, "cosmic-layer": YES}
    assert found(Given(7, refused=PROMPTS)) == {"dim-matches-cosmic": YES, "cosmic-layer": NO}
    assert found(chosen, first="caa")["dim-matches-cosmic"] is OPEN
    assert set(outcomes(method_claims.answers("dim", [])).values()) == {OPEN}


def test_unequal_halves_do_not_decide_by_the_prompts_that_chose() -> None:
    """The first depth is better on the choosing half alone: held out there is no collapse."""
    choosing, _ = split_prompts(PROMPTS, seed=0)
    assert depth(Given(5, refused=choosing), Given(7))["late-collapse"] is not YES
