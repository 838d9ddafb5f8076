"""What the study claims and by which rule a run of our own answers: `data/claims.toml`."""

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from pydantic import Field

from steergauge.studies.measurements import Record
from steergauge.studies.study_result import Conclusion, Outcome

STEERED = 0.6
"""The rate from which the rules call a model steered."""
NEAR = 0.2
"""Rates whose difference has an interval within so much are the same to the rules."""


class Claim(Record):
    """One of the paper's claims."""

    id: str = Field(description="Its name.")
    study: str = Field(description="The study that answers it.")
    place: str = Field(description="Section of the paper.")
    claim: str = Field(description="In our words.")
    published: str = Field(description="The numbers that the paper prints for it.")
    rule: str = Field(description="When it is replicated, when it is not, and when it cannot be tested.")


@cache
def claims() -> dict[str, Claim]:
    """Every claim by its id, in the paper's order."""
    text = files("steergauge").joinpath("data/claims.toml").read_text(encoding="utf-8")
    read = [Claim.model_validate(one) for one in tomllib.loads(text)["claims"]]
    return {one.id: one for one in read}


def answer(claim: str, outcome: Outcome, evidence: str) -> Conclusion:
    """A conclusion on one of the paper's claims.

    Args:
        claim: its id.
        outcome: by its rule.
        evidence: the numbers that the rule was applied to.
    """
    asked = claims()[claim]
    return Conclusion(id=asked.id, claim=asked.claim, outcome=outcome, rule=asked.rule, evidence=evidence)


def every(outcomes: Sequence[Outcome]) -> Outcome:
    """A claim on all of several: supported where each supports it, not supported where one does not; else undecided."""
    if Outcome.NOT_SUPPORTED in outcomes:
        return Outcome.NOT_SUPPORTED
    return Outcome.SUPPORTED if outcomes and set(outcomes) == {Outcome.SUPPORTED} else Outcome.UNDECIDED
