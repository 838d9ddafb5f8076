"""What a parity study found, as sentences: the same in the terminal and on the page."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from steergauge.report.words import NOTHING, number, percent
from steergauge.studies.measurements import points
from steergauge.studies.parity_result import (
    BackendRecord,
    FaultAtBlock,
    FaultRecord,
    ParityResult,
    Steered,
    Visibility,
)

READ = ("supported", "degraded")


class Finding(NamedTuple):
    """A sentence, and what it is about."""

    about: str
    text: str


def headline(result: ParityResult) -> str:
    """The tools' parity in a sentence."""
    name, measured = result.model.name, [one for one in result.backends if one.outcome != "error"]
    if not measured:
        return f"No tool but hooks was measured on {name}."
    agreeing = sum(one.outcome in READ for one in measured)
    if agreeing == len(measured):
        return f"Every tool that was measured reads one direction on {name}."
    return f"{len(measured) - agreeing} of {len(measured)} tools read something else on {name}."


def findings(result: ParityResult) -> list[Finding]:
    """What was found, a sentence each; kinds of mistakes that did not occur are left out."""
    found = [_tools(result.backends)] if any(one.outcome != "error" for one in result.backends) else []
    found += [
        Finding("Not measured", f"{one.name}: {one.reason}.")
        for one in result.backends
        if one.outcome == "error"
    ]
    if not result.faults:
        return found
    for kind in Visibility:
        if which := _where(result.faults, partial(_is, kind)):
            found.append(Finding(kind.value.capitalize(), which))
    gaps = _where(result.faults, lambda one: one.study_gap is True)
    found.append(Finding("A gap like the study's", gaps or "no mistake makes one at these blocks."))
    found += [
        Finding("Goes not unnoticed", f"{fault.name}: {fault.error}.")
        for fault in result.faults
        if fault.error
    ]
    found += [
        Finding("Not possible here", f"{fault.name}: {fault.impossible}.")
        for fault in result.faults
        if fault.impossible
    ]
    return found


def cosine(value: float | None) -> str:
    """Three digits, or as many as tell it from 1."""
    if value is None:
        return NOTHING
    digits = 3 if value < 0.9995 or value > 1 - 5e-7 else 6
    return f"{value:.{digits}f}".replace("-", "−")


def refusal(one: Steered) -> str:
    """Coherent refusal of all prompts, and how far it is from the right direction's."""
    if one.outputs is None or one.against_reference is None:
        return NOTHING
    return f"{percent(one.outputs.refusal.rate)} ({points(one.against_reference.difference)})"


def _tools(backends: list[BackendRecord]) -> Finding:
    parts = []
    for one in backends:
        if one.outcome == "error":
            continue
        known = [value for value in one.cosines if value is not None]
        lowest = f", lowest cosine {cosine(min(known))}" if known else ""
        differences = [at.against_reference.difference for at in one.at if at.against_reference]
        most = max(differences, key=abs, default=None)
        steered = f", refusal {points(most)} points at most" if most is not None else ""
        parts.append(f"{one.name} {one.outcome} (relative error {number(one.worst_error)}{lowest}{steered})")
    return Finding("Against hooks", "; ".join(parts) + ".")


def _is(kind: Visibility, one: FaultAtBlock) -> bool:
    return one.visibility is kind


def _where(faults: Iterable[FaultRecord], holds: Callable[[FaultAtBlock], bool]) -> str:
    """The mistakes for which something holds, with the blocks where it does."""
    named = []
    for fault in faults:
        blocks = [str(one.block) for one in fault.at if holds(one)]
        if blocks:
            everywhere = len(blocks) == len(fault.at)
            named.append(fault.name if everywhere else f"{fault.name} (block {', '.join(blocks)})")
    return ", ".join(named) + "." if named else ""
