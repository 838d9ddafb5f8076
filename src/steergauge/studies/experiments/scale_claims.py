"""What the trends over sizes say of the paper's claims on scale."""

from collections.abc import Mapping, Sequence

from steergauge.studies.claims import NEAR, answer
from steergauge.studies.study_result import Cell, Conclusion, Estimate, Outcome
from steergauge.studies.study_settings import StudiedModel


def answers(
    models: Sequence[StudiedModel],
    best: tuple[Mapping[str, Cell], Sequence[Mapping[str, Cell]]],
    equal: Mapping[str, Cell],
) -> tuple[Conclusion, ...]:
    """The claims on sizes at their best and at one relative dose; only of models of one known family.

    Args:
        models: of several sizes.
        best: the trend of their best rates, and the pairs of these rates.
        equal: the trend at one relative dose.
    """
    families = {model.family for model in models}
    if None in families or len(families) > 1:
        return tuple(
            answer(claim, Outcome.UNDECIDED, "The models are not of one known family.")
            for claim in ("scale-decline", "scale-equal-dose")
        )
    trend, pairs = best
    declines = _by_trend(trend)
    if declines is Outcome.UNDECIDED and pairs and all(_alike(pair) for pair in pairs):
        declines = Outcome.NOT_SUPPORTED
    return (
        answer("scale-decline", declines, _words(trend)),
        answer("scale-equal-dose", _by_trend(equal), _words(equal)),
    )


def _by_trend(row: Mapping[str, Cell]) -> Outcome:
    z, exact = row.get("z"), row.get("exact")
    if not isinstance(z, float) or not isinstance(exact, float) or exact >= 0.05:
        return Outcome.UNDECIDED
    return Outcome.SUPPORTED if z < 0 else Outcome.NOT_SUPPORTED


def _alike(pair: Mapping[str, Cell]) -> bool:
    difference = pair.get("difference")
    return (
        isinstance(difference, Estimate)
        and difference.low is not None
        and difference.high is not None
        and max(-difference.low, difference.high) <= NEAR
    )


def _words(row: Mapping[str, Cell]) -> str:
    exact = row.get("exact")
    tested = f"exact p = {exact:.2g}" if isinstance(exact, float) else "no trend can be tested"
    return f"{row['rates']}; {tested}"
