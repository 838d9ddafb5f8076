"""In which order a person reads outputs: blind, shuffled, spread over the conditions, some of them twice."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

# At least so many other outputs stand between the two showings of one, where there are so many.
_APART = 25


class Showing(NamedTuple):
    """One output as it is shown: for the first or for the second time."""

    key: str
    showing: int


def reading_order(
    strata: Mapping[str, str], rater: str, sample: int | None, retest: float, seed: int
) -> list[Showing]:
    """The showings of one rater, from first to last.

    Every condition has its turn before any has a second one, so that a session that is broken off has read
    of all of them. The sample is the same for all raters, so that they can be compared; the order and what is
    shown twice are each rater's own. It depends on nothing but the arguments: a session is resumed by
    leaving out what is rated.

    Args:
        strata: address → condition.
        rater: who reads.
        sample: how many outputs are read; all of them when None.
        retest: the share that is shown a second time.
        seed: of the sample and the orders.
    """
    chosen = _interleaved(strata, f"{seed}")[:sample]
    first = _interleaved({key: strata[key] for key in chosen}, f"{seed} {rater}")
    count = round(retest * len(first))
    again = sorted(first, key=lambda key: _lot(f"{seed} {rater} again", key))[:count]
    return _with_second_showings(first, again)


def _interleaved(strata: Mapping[str, str], salt: str) -> list[str]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for key in sorted(strata, key=lambda key: _lot(salt, key)):
        groups[strata[key]].append(key)
    turns = {key: turn for group in groups.values() for turn, key in enumerate(group)}
    # Another lot than within the condition: the first of many is likely to have drawn a low one.
    return sorted(strata, key=lambda key: (turns[key], _lot(f"{salt} turn", key)))


def _with_second_showings(first: Sequence[str], again: Sequence[str]) -> list[Showing]:
    """Puts each second showing `_APART` outputs behind the first, or at the end."""
    repeated = set(again)
    order: list[Showing] = []
    for index, key in enumerate(first):
        order.append(Showing(key, 1))
        earlier = index - _APART
        if earlier >= 0 and first[earlier] in repeated:
            order.append(Showing(first[earlier], 2))
    late = first[max(len(first) - _APART, 0) :]
    return order + [Showing(key, 2) for key in late if key in repeated]


def _lot(salt: str, key: str) -> str:
    """A lot drawn for a key: the same in every process and every version of Python."""
    return hashlib.sha256(f"{salt}\n{key}".encode()).hexdigest()
