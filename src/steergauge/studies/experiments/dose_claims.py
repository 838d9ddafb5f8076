"""What windows of doses say of the paper's claim on small models."""

import math
from collections.abc import Mapping, Sequence

from steergauge.statistics.window import dose_window
from steergauge.studies.claims import STEERED, answer, every
from steergauge.studies.measurements import ConditionResult
from steergauge.studies.study_result import Conclusion, Outcome
from steergauge.studies.study_settings import StudiedModel

_SMALL = 10.0  # billions of parameters
_FACTOR = 25 / 15


def answers(
    models: Sequence[StudiedModel], conditions: Mapping[str, Sequence[ConditionResult]]
) -> tuple[Conclusion, ...]:
    """The claim on how wide a range of doses small models bear.

    Args:
        models: as they were named.
        conditions: of each, by label, from the smallest dose to the largest.
    """
    factors = {
        model.label: found
        for model in models
        if model.billions is not None
        and model.billions < _SMALL
        and (found := window_factor(conditions[model.label])) is not None
    }
    outcomes = [
        Outcome.SUPPORTED
        if least >= _FACTOR - 1e-9
        else Outcome.NOT_SUPPORTED
        if most < _FACTOR
        else Outcome.UNDECIDED
        for least, most in factors.values()
    ]
    said = "; ".join(
        f"{name} a factor of at least {least:.2g}"
        + (", and open" if math.isinf(most) else f" and below {most:.2g}")
        for name, (least, most) in factors.items()
    )
    return (answer("wide-window", every(outcomes), said or "No model of that size reaches 60%."),)


def window_factor(conditions: Sequence[ConditionResult]) -> tuple[float, float] | None:
    """The factor that the window of doses which reach 60% spans: at least and less than; None where none does.

    At least, by the doses inside; less than, by their neighbours outside, and without a bound where there is none.

    Args:
        conditions: of one block and of doses of one sign, from the smallest to the largest.
    """
    rates = {one.dose.value: one.effect.rate or 0.0 for one in conditions}
    top = max(rates, key=lambda value: (rates[value], -abs(value)))
    found = dose_window(rates, top, STEERED)
    if not found.doses or min(rates) <= 0:
        return None
    raw = [one.dose.raw for one in conditions]
    inside = [index for index, one in enumerate(conditions) if one.dose.value in found.doses]
    first, last = inside[0], inside[-1]
    below = raw[first - 1] if first > 0 else 0.0
    most = raw[last + 1] / below if last + 1 < len(raw) and below else math.inf
    return raw[last] / raw[first], most
