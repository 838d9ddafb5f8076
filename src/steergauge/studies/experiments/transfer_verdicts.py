"""What transfers say of the paper's two claims."""

from collections.abc import Callable, Sequence

from steergauge.studies.claims import STEERED, answer, every
from steergauge.studies.experiments.lending import How, Transferred
from steergauge.studies.study_result import Conclusion, Outcome

_AS_WELL = 0.8
_FAILS = 0.5


def conclude(pairs: Sequence[Transferred]) -> tuple[Conclusion, ...]:
    """The claims on pairs within a family and across families; a model whose family is unknown is in neither."""
    direct = [
        pair
        for pair in pairs
        if pair.how is How.DIRECT
        and pair.source.name != pair.target.name  # in another precision it is no other model
        and pair.source.family is not None
        and pair.target.family is not None
    ]
    related = [pair for pair in direct if pair.source.family == pair.target.family]
    strange = [pair for pair in direct if pair.source.family != pair.target.family]
    return (
        answer("transfer-family", *_judged(related, _as_well)),
        answer("transfer-cross", *_judged(strange, _fails)),
    )


def _as_well(low: float, high: float) -> Outcome:
    if low >= _AS_WELL:
        return Outcome.SUPPORTED
    return Outcome.NOT_SUPPORTED if high < 1 else Outcome.UNDECIDED


def _fails(low: float, high: float) -> Outcome:
    if high < _FAILS:
        return Outcome.SUPPORTED
    return Outcome.NOT_SUPPORTED if low > _FAILS else Outcome.UNDECIDED


def _judged(pairs: Sequence[Transferred], rule: Callable[[float, float], Outcome]) -> tuple[Outcome, str]:
    if not pairs:
        return Outcome.UNDECIDED, "No such pair of equal widths is at hand."
    outcomes, said = [], []
    for pair in pairs:
        words = f"{pair.source.label} → {pair.target.label}"
        efficiency, own = pair.efficiency, pair.own_rate.rate or 0.0
        if own < STEERED or efficiency.low is None or efficiency.high is None:
            said.append(f"{words} left out, as the target's own direction reaches {own:.0%}")
            continue
        outcomes.append(rule(efficiency.low, efficiency.high))
        said.append(f"{words} {efficiency.value:.2f} [{efficiency.low:.2f}–{efficiency.high:.2f}]")
    return every(outcomes), "; ".join(said)
