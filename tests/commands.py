"""The command line as a test calls it, and the one line that a mistake is told in."""

from collections.abc import Callable
from typing import NamedTuple


class Outcome(NamedTuple):
    code: object
    out: str
    err: str


Run = Callable[..., Outcome]


def mistake(outcome: Outcome) -> str:
    """The one line that a mistake is told in."""
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    lines = outcome.err.splitlines()
    assert [line.startswith("error: ") for line in lines].count(True) == 1
    assert lines[-1].startswith("error: "), outcome.err
    return lines[-1]


def only_mistake(outcome: Outcome) -> str:
    """The same, where there was nothing else to say."""
    line = mistake(outcome)
    assert outcome.err == f"{line}\n"
    return line
