"""What the method study says of the paper's claims on COSMIC."""

from collections.abc import Sequence
from typing import NamedTuple

from steergauge.statistics.comparisons import adjust_holm
from steergauge.statistics.splitting import split_prompts
from steergauge.studies.analysis import compare
from steergauge.studies.claims import NEAR, answer, every
from steergauge.studies.experiments.conditions import answered, labels_of
from steergauge.studies.experiments.contests import Beside, Terms
from steergauge.studies.experiments.method_verdicts import as_good
from steergauge.studies.measurements import Comparison, points
from steergauge.studies.result import VerdictName
from steergauge.studies.study_result import Conclusion, Outcome

_COSMIC = "cosmic"
_SIGNIFICANT = 0.05


class _OwnBlock(NamedTuple):
    """COSMIC at the block that it chose against COSMIC swept, on the same prompts."""

    name: str
    held_out: Comparison
    whole: Comparison


def answers(first: str, all_beside: Sequence[Beside]) -> tuple[Conclusion, ...]:
    """The claims on DIM against COSMIC, and on COSMIC's own block.

    Args:
        first: the method that the others are compared with; the first claim is on dim alone.
        all_beside: every other method on every model.
    """
    cosmic = [one for one in all_beside if one.method.startswith(_COSMIC)]
    if first != "dim" or not cosmic:
        matches = answer("dim-matches-cosmic", Outcome.UNDECIDED, "DIM was not compared with COSMIC.")
    else:
        variants = [
            as_good(first, method, [one for one in cosmic if one.method == method])
            for method in dict.fromkeys(one.method for one in cosmic)
        ]
        matches = answer(
            "dim-matches-cosmic",
            every([one.outcome for one in variants]),
            " ".join(one.evidence for one in variants),
        )
    return matches, _own_block(cosmic)


def _own_block(cosmic: Sequence[Beside]) -> Conclusion:
    compared = [found for one in cosmic if (found := _at_its_own_block(one)) is not None]
    adjusted = adjust_holm([one.held_out.p_value for one in compared])
    said = "; ".join(
        f"{one.name} {points(one.held_out.difference)} points held out, Holm p = {p:.2g}"
        for one, p in zip(compared, adjusted, strict=True)
    )
    costs = any(
        p < _SIGNIFICANT and one.held_out.difference < 0 for one, p in zip(compared, adjusted, strict=True)
    )
    if costs:
        outcome = Outcome.SUPPORTED
    elif compared and all(one.whole.low >= -NEAR for one in compared):
        outcome = Outcome.NOT_SUPPORTED
    else:
        outcome = Outcome.UNDECIDED
    return answer("cosmic-layer", outcome, said or "No COSMIC was measured at its own block and swept.")


def _at_its_own_block(one: Beside) -> _OwnBlock | None:
    if one.result.verdict.verdict is VerdictName.INVALID:
        return None
    prompts = answered(one.result)
    compared = []
    for held_out, reported_on in (
        (True, split_prompts(prompts, one.result.protocol.seed)[1]),
        (False, prompts),
    ):
        own, swept = (one.on(terms, held_out=held_out) for terms in (Terms.OWN_BLOCK, Terms.SWEPT))
        if own is None or swept is None:
            return None
        first, second = (labels_of(one.result, contest.other.id) for contest in (own, swept))
        compared.append(compare(first, second, reported_on))
    return _OwnBlock(f"{one.method} on {one.model}", *compared)
