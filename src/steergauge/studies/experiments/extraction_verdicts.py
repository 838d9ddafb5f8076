"""What the extraction study says: whether refusals depend on how many pairs there are, and on which."""

from collections.abc import Collection, Sequence

from steergauge.studies.experiments.contrast_subsets import Kind
from steergauge.studies.experiments.extraction_tables import Measured, condition_of
from steergauge.studies.measurements import Comparison
from steergauge.studies.result import VerdictName
from steergauge.studies.study_result import Conclusion, Outcome

_SIGNIFICANT = 0.05
_EQUIVALENT = 0.2
_SIZE = frozenset({Kind.SIZE})
_COMPOSITION = frozenset({Kind.LEFT_OUT, Kind.REFUSED, Kind.SET})


def conclude_extraction(measured: Sequence[Measured], threshold: float) -> tuple[Conclusion, Conclusion]:
    """Whether refusals depend on how many pairs there are, and on which.

    Args:
        measured: the models.
        threshold: the rate from which a direction's refusals are enough to lose.
    """
    return (
        _conclude(
            "What a direction refuses depends on how many pairs it was made from.", measured, _SIZE, threshold
        ),
        _conclude(
            "What a direction refuses depends on which pairs it was made from.",
            measured,
            _COMPOSITION,
            threshold,
        ),
    )


def _conclude(
    claim: str, measured: Sequence[Measured], kinds: Collection[Kind], threshold: float
) -> Conclusion:
    judged = [one for one in measured if one.whole.verdict.verdict is not VerdictName.INVALID]
    of_kind = {
        one.model: {subset: found for subset, found in one.compared.items() if subset.kind in kinds}
        for one in judged
    }
    differ = {
        model: [subset.name for subset, one in found.items() if _differs(one)]
        for model, found in of_kind.items()
    }
    near = all(
        one.low >= -_EQUIVALENT and one.high <= _EQUIVALENT
        for found in of_kind.values()
        for one in found.values()
    )
    to_lose = any((condition_of(one.whole).effect.rate or 0.0) >= threshold for one in judged)
    if any(differ.values()):
        outcome = Outcome.SUPPORTED
    else:
        outcome = Outcome.NOT_SUPPORTED if near and to_lose and any(of_kind.values()) else Outcome.UNDECIDED
    said = [
        f"{one.model}: {len(differ[one.model])} of {len(of_kind[one.model])} differ"
        + (f" ({', '.join(differ[one.model])})" if differ[one.model] else "")
        for one in judged
    ]
    said += [
        f"{one.model}: left out, its verdict is invalid"
        for one in measured
        if one.whole.verdict.verdict is VerdictName.INVALID
    ]
    return Conclusion(
        claim=claim,
        outcome=outcome,
        rule="Supported: on some model such a subset's direction refuses more or fewer prompts than the whole first set's at the same "
        "block and dose, exact McNemar, p < .05 after Holm's correction over the model's subsets. Not supported: none does, every 95% "
        f"interval of the difference lies within 20 points, and on some model the whole set's direction has at least {threshold:.0%} "
        "refused. Undecided otherwise.",
        evidence="; ".join(said) + ".",
    )


def _differs(compared: Comparison) -> bool:
    return compared.p_adjusted is not None and compared.p_adjusted < _SIGNIFICANT
