"""What precisions say of the paper's claims on INT8 and INT4."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from steergauge.studies.claims import NEAR, STEERED, answer, every
from steergauge.studies.experiments.quantized import Origin, Quantized
from steergauge.studies.experiments.quantized_tables import adjusted
from steergauge.studies.measurements import Comparison, points
from steergauge.studies.study_result import Conclusion, Outcome

_LEAST_COSINE = 0.97
_SMALL = 10.0  # billions of parameters
_EIGHT_BITS = ("int8-", "gguf-q8_")
_FOUR_BITS = ("nf4-", "fp4-", "int4-", "gguf-q4_")


class _Compared(NamedTuple):
    """A precision that could be compared with full precision, in which the model is steered."""

    name: str
    comparison: Comparison
    p_value: float


def conclude(measured: Sequence[Quantized]) -> tuple[Conclusion, ...]:
    """The claims on each number of bits, of directions extracted in that precision, and on their cosines."""
    bits = {8: _EIGHT_BITS, 4: _FOUR_BITS}
    corrected = list(zip(measured, adjusted(measured), strict=True))

    def compared(number: int, *, below: float = math.inf) -> list[_Compared]:
        return [
            _Compared(one.model.label, one.comparison, p_value)
            for one, p_value in corrected
            if one.origin is Origin.OWN
            and one.model.precision.startswith(bits[number])
            and (below == math.inf or (one.model.billions is not None and one.model.billions < below))
            and (one.full.effect.rate or 0.0) >= STEERED
            and one.comparison is not None
            and p_value is not None
        ]

    return (
        answer("int8", *_preserved(compared(8))),
        answer("int4-small", *_preserved(compared(4, below=_SMALL))),
        answer("int4-cosine", *_near_directions(measured)),
    )


def _preserved(compared: Sequence[_Compared]) -> tuple[Outcome, str]:
    if not compared:
        return (
            Outcome.UNDECIDED,
            "No such precision was measured of a model that is steered in full precision.",
        )
    said = (
        f"{one.name} {points(one.comparison.difference)} points "
        f"[{points(one.comparison.low)} to {points(one.comparison.high)}], p = {one.p_value:.2g}"
        for one in compared
    )
    return every([_judged(one) for one in compared]), "; ".join(said)


def _judged(one: _Compared) -> Outcome:
    if one.p_value < 0.05 and one.comparison.difference < 0:
        return Outcome.NOT_SUPPORTED
    near = max(-one.comparison.low, one.comparison.high) <= NEAR
    return Outcome.SUPPORTED if near else Outcome.UNDECIDED


def _near_directions(measured: Sequence[Quantized]) -> tuple[Outcome, str]:
    cosines = {
        one.model.label: one.median_cosine
        for one in measured
        if one.model.precision.startswith((*_EIGHT_BITS, *_FOUR_BITS))
    }
    if not cosines:
        return Outcome.UNDECIDED, "Nothing was measured in a quantised precision."
    near = all(cosine >= _LEAST_COSINE for cosine in cosines.values())
    said = "; ".join(f"{name} {cosine:.3f}" for name, cosine in cosines.items())
    return (Outcome.SUPPORTED if near else Outcome.NOT_SUPPORTED), said
