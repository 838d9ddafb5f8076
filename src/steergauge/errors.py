"""Errors for people: one line that says what was wrong, where, and what would be right."""

import difflib
from collections.abc import Iterable


class SteergaugeError(Exception):
    """A user's mistake or a limit of the machine. The CLI prints its one line and exits with code 2."""


class InstrumentError(SteergaugeError):
    """A check before the sweep failed: what would be measured cannot be trusted."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Says which known names are closest to one that was not found, or lists them when none is close."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}"
