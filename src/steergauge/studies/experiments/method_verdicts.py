"""What the method study says of the paper's claims: DIM is as good, and COSMIC fails by the block that it chooses."""

from collections.abc import Sequence

from steergauge.studies.experiments.contests import Beside, Contest, Terms
from steergauge.studies.measurements import points
from steergauge.studies.result import VerdictName
from steergauge.studies.study_result import Conclusion, Outcome

_SIGNIFICANT = 0.05
_EQUIVALENT = 0.2


def conclude_methods(first: str, all_beside: Sequence[Beside]) -> tuple[Conclusion, ...]:
    """For every method whether the first is as good, and for those that choose a block whether that is what costs."""
    conclusions = []
    for method in dict.fromkeys(one.method for one in all_beside):
        of_method = [one for one in all_beside if one.method == method]
        conclusions.append(as_good(first, method, of_method))
        if any(one.selection for one in of_method):
            conclusions.append(_loses_by_its_block(first, method, of_method))
    return tuple(conclusions)


def as_good(first: str, method: str, of_method: Sequence[Beside]) -> Conclusion:
    """Whether the first method refuses as much as another or more, each at its best swept block and dose.

    Args:
        first: the method that is compared with.
        method: the other.
        of_method: the other on every model.
    """
    judged = _judged(of_method)
    pairs = [
        (held_out, whole)
        for one in judged
        if (held_out := one.on(Terms.SWEPT, held_out=True)) and (whole := one.on(Terms.SWEPT, held_out=False))
    ]
    if any(_more(held_out) for held_out, _ in pairs):
        outcome = Outcome.NOT_SUPPORTED
    elif pairs and all(whole.comparison.high <= _EQUIVALENT for _, whole in pairs):
        outcome = Outcome.SUPPORTED
    else:
        outcome = Outcome.UNDECIDED
    return Conclusion(
        claim=f"{first} refuses as much as {method} or more, each at its best swept block and dose.",
        outcome=outcome,
        rule=f"Not supported: on some model {method} refuses more on the held-out prompts, exact McNemar, p < .05 after Holm's "
        f"correction. Supported: it does so on none, and on all prompts of every model the 95% interval puts it at most 20 "
        "points ahead. Undecided otherwise. Models with an invalid verdict do not count.",
        evidence=_evidence(of_method, Terms.SWEPT),
    )


def _loses_by_its_block(first: str, method: str, of_method: Sequence[Beside]) -> Conclusion:
    lost = [
        swept
        for one in _judged(of_method)
        if (unequal := one.on(Terms.AS_STUDY, held_out=False))
        and _less(unequal)
        and (swept := one.on(Terms.SWEPT, held_out=False))
    ]
    if any(_less(swept) for swept in lost):
        outcome = Outcome.NOT_SUPPORTED
    elif lost and all(swept.comparison.low >= -_EQUIVALENT for swept in lost):
        outcome = Outcome.SUPPORTED
    else:
        outcome = Outcome.UNDECIDED
    return Conclusion(
        claim=f"Where {method} loses to {first}, it loses by the block that it chooses, not by its direction.",
        outcome=outcome,
        rule=f"It loses where, at its own block and {first}'s dose, it refuses less than {first} at its best depth: exact McNemar on "
        "all prompts, p < .05 after Holm's correction. Supported: on each such model the 95% interval puts it at most 20 "
        "points behind once it is swept too. Not supported: on one it then still loses. Undecided otherwise, also where it loses "
        "nowhere. Models with an invalid verdict do not count.",
        evidence=f"It loses on {len(lost)} of {len(_judged(of_method))} models. "
        + _evidence(of_method, Terms.AS_STUDY),
    )


def _judged(of_method: Sequence[Beside]) -> list[Beside]:
    return [one for one in of_method if one.result.verdict.verdict is not VerdictName.INVALID]


def _more(contest: Contest) -> bool:
    return contest.comparison.difference > 0 and _significant(contest)


def _less(contest: Contest) -> bool:
    return contest.comparison.difference < 0 and _significant(contest)


def _significant(contest: Contest) -> bool:
    adjusted = contest.comparison.p_adjusted
    return adjusted is not None and adjusted < _SIGNIFICANT


def _evidence(of_method: Sequence[Beside], terms: Terms) -> str:
    judged = _judged(of_method)
    said = []
    for one in judged:
        for held_out, prompts in ((False, "all prompts"), (True, "held out")):
            if contest := one.on(terms, held_out=held_out):
                ours, theirs, compared = contest.first_rate, contest.other_rate, contest.comparison
                said.append(
                    f"{one.model}, {prompts}: {theirs.count}/{theirs.n} against {ours.count}/{ours.n}, "
                    f"{points(compared.difference)} points, Holm p = {compared.p_adjusted:.2g}"
                )
    if invalid := [one.model for one in of_method if one.result.verdict.verdict is VerdictName.INVALID]:
        said.append(f"left out, invalid: {', '.join(invalid)}")
    return f"{terms.value.capitalize()}: {'; '.join(said) or 'nothing was measured'}."
