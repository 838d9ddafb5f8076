"""What the tooling study says of the paper's claim: nnsight's direction refuses 100%, that of hooks 10%."""

from collections.abc import Mapping

from steergauge.studies.claims import answer
from steergauge.studies.experiments.tooling_tables import best_block, compared_tools
from steergauge.studies.fault_rule import LEAST_COSINE, SIGNIFICANT, STUDY_GAP
from steergauge.studies.measurements import points
from steergauge.studies.parity_result import ParityResult
from steergauge.studies.study_result import Conclusion, Outcome

_CLAIMED = "nnsight"
_EQUIVALENT = 0.2


def conclude_tools(results: Mapping[str, ParityResult]) -> Conclusion:
    """Whether a direction read with nnsight does something else than one read with hooks."""
    judged = {name: _nnsight(result) for name, result in results.items()}
    outcomes = {outcome for outcome, _ in judged.values()}
    if Outcome.SUPPORTED in outcomes:
        outcome = Outcome.SUPPORTED
    else:
        outcome = Outcome.NOT_SUPPORTED if Outcome.NOT_SUPPORTED in outcomes else Outcome.UNDECIDED
    said = " ".join(f"{name}: {outcome}, {why}." for name, (outcome, why) in judged.items())
    return answer("tooling-gap", outcome, said)


def _nnsight(result: ParityResult) -> tuple[Outcome, str]:
    tool = next(one for one in result.backends if one.name == _CLAIMED)
    here = [compared for other, _, compared in compared_tools(result) if other is tool]
    known = [cosine for cosine in tool.cosines if cosine is not None]
    if not here or not known:
        return Outcome.UNDECIDED, f"nnsight was not measured ({tool.reason})"
    right = best_block(result)
    most = max(here, key=lambda one: abs(one.difference))
    said = (
        f"readings {tool.outcome}, lowest cosine {min(known):.6f}, {points(most.difference)} points at most, where hooks' "
        f"direction refuses {right.outputs.effect.count} of {right.outputs.effect.n}"
    )
    if any(one.p_adjusted is not None and one.p_adjusted < SIGNIFICANT for one in here):
        return Outcome.SUPPORTED, said
    same = min(known) >= LEAST_COSINE and all(
        one.low >= -_EQUIVALENT and one.high <= _EQUIVALENT for one in here
    )
    to_lose = (right.outputs.effect.rate or 0.0) >= STUDY_GAP
    return (Outcome.NOT_SUPPORTED if same and to_lose else Outcome.UNDECIDED), said


def conclude_mistakes(results: Mapping[str, ParityResult]) -> Conclusion:
    """Whether a usual mistake makes a gap like the study's."""
    made = {
        name: [fault.name for fault in result.faults if any(one.study_gap for one in fault.at)]
        for name, result in results.items()
    }
    testable = [
        name
        for name, result in results.items()
        if any(one.study_gap is not None for fault in result.faults for one in fault.at)
    ]
    if any(made.values()):
        outcome = Outcome.SUPPORTED
    else:
        outcome = Outcome.NOT_SUPPORTED if testable else Outcome.UNDECIDED
    said = [
        f"{name}: {', '.join(made[name]) or 'none'}"
        if name in testable
        else f"{name}: untestable, the right direction refuses too little to lose"
        for name in results
    ]
    return Conclusion(
        claim="A usual mistake in reading or steering makes a gap like the study's between tools.",
        outcome=outcome,
        rule=f"Of the prompts that the unsteered model answers, the right direction has at least {STUDY_GAP:.0%} refused at a block, and the "
        f"mistake at least {100 * STUDY_GAP:.0f} points fewer there. Supported: one does on a model. Not supported: none does, though it "
        "could at some block. Undecided: at no block is there enough to lose.",
        evidence="; ".join(said) + ".",
    )
