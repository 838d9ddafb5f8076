"""What the check of a statement returns; place, claim and published value come from the data file."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from steergauge.studies.audit.finding import Stands
from steergauge.studies.published import Published

_NOTHING: Mapping[str, float] = MappingProxyType({})


class Check(NamedTuple):
    """The computed part of a finding; fields as there."""

    recomputed: str
    agrees: bool | None = None
    stands: Stands | None = None
    due: str = ""
    meaning: str = ""
    n: int | None = None
    prompts: int | None = None
    values: Mapping[str, float] = _NOTHING


Checker = Callable[[Published], Check]


def share(part: int, whole: int) -> str:
    """So many of so many."""
    return f"{part} of {whole}"


def listed(names: list[str], most: int = 6) -> str:
    """Names with commas, the first few of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
