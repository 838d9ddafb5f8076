"""What an audit finds: one record a claim."""

import json
from decimal import Decimal
from enum import StrEnum
from typing import Literal

import pandas as pd
from pydantic import Field

from steergauge.studies.measurements import Record

SCHEMA: Literal["steergauge.audit/1"] = "steergauge.audit/1"


class Stands(StrEnum):
    """Whether a conclusion stands when it is computed as it should be."""

    YES = "yes"
    NO = "no"
    UNDECIDED = "undecided"  # what was published allows both
    NO_DATA = "no data"


class Outcome(StrEnum):
    """A finding in one word; the order is that of the report."""

    DIFFERS = "number differs"
    DOES_NOT_STAND = "does not stand"
    UNDECIDED = "undecided"
    NO_DATA = "no data"
    HOLDS = "holds"


class Finding(Record):
    """One claim: what was published, what comes out, and what should have been computed."""

    id: str = Field(description="Name of the check.")
    place: str = Field(description="Where the claim stands: section, table or line.")
    claim: str = Field(description="What is claimed, in our words.")
    published: str = Field(description="As printed; empty where only a conclusion was.")
    recomputed: str = Field(description="The same from the published counts.")
    agrees: bool | None = Field(
        default=None, description="Whether they are equal to the digits printed; null where none is printed."
    )
    tolerance: float | None = Field(default=None, description="Half a unit of the last digit printed.")
    stands: Stands | None = Field(default=None, description="Whether the conclusion stands; null if none.")
    n: int | None = Field(default=None, description="Observations as counted by the claim, a side.")
    prompts: int | None = Field(default=None, description="Distinct prompts among them: the effective n.")
    due: str = Field(default="", description="What should have been computed, and its result.")
    meaning: str = Field(default="", description="What follows, or what to do.")
    values: dict[str, float] = Field(default_factory=dict, description="Recomputed values, unrounded.")

    @property
    def outcome(self) -> Outcome:
        """The finding in one word: a wrong number comes before what it is used for."""
        if self.agrees is False:
            return Outcome.DIFFERS
        return {
            Stands.NO: Outcome.DOES_NOT_STAND,
            Stands.UNDECIDED: Outcome.UNDECIDED,
            Stands.NO_DATA: Outcome.NO_DATA,
        }.get(self.stands, Outcome.HOLDS)  # type: ignore[arg-type] # None has no entry


class Audit(Record):
    """All findings on one subject."""

    schema_: Literal["steergauge.audit/1"] = Field(
        default=SCHEMA, alias="schema", description="Name and version of this form."
    )
    subject: str = Field(description="What was audited.")
    findings: tuple[Finding, ...] = Field(description="Mismatches first.")

    def finding(self, id_: str) -> Finding:
        """The finding of an id.

        Raises:
            KeyError: there is none.
        """
        for finding in self.findings:
            if finding.id == id_:
                return finding
        raise KeyError(id_)

    def count(self, outcome: Outcome) -> int:
        """How many findings have an outcome."""
        return sum(finding.outcome is outcome for finding in self.findings)

    def to_pandas(self) -> pd.DataFrame:
        """One row a finding, with its outcome; the recomputed values as JSON in one column."""
        rows = [
            {
                "outcome": finding.outcome.value,
                **finding.model_dump(mode="json"),
                "values": json.dumps(finding.values),
            }
            for finding in self.findings
        ]
        return pd.DataFrame(rows)


def sorted_audit(subject: str, findings: list[Finding]) -> Audit:
    """An audit with its findings by outcome, otherwise in the order given."""
    order = list(Outcome)
    ranked = sorted(findings, key=lambda finding: order.index(finding.outcome))
    return Audit(subject=subject, findings=tuple(ranked))


def tolerance(printed: Decimal) -> float:
    """Half a unit of the last digit printed: within it a number agrees."""
    exponent = printed.as_tuple().exponent
    return 0.5 * 10.0 ** int(exponent)


def agrees(printed: Decimal, value: float) -> bool:
    """Whether `value` can be printed so, however a tie is rounded."""
    return abs(float(printed) - value) <= tolerance(printed) + 1e-9


def p_words(p_value: float) -> str:
    """A p value with three digits, or its power of ten."""
    return f"{p_value:.3g}" if p_value >= 0.001 else f"{p_value:.1e}".replace("e-0", "e-")


def interval_words(low: float, high: float) -> str:
    """An interval of fractions in percent."""
    return f"[{100 * low:.1f}, {100 * high:.1f}]"
