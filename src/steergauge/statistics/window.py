"""The window: which doses work."""

from collections.abc import Mapping
from typing import NamedTuple


class DoseWindow(NamedTuple):
    """An unbroken run of the doses tried, ascending; open at an end where no dose beyond it was tried."""

    doses: tuple[float, ...]
    open_below: bool
    open_above: bool


def dose_window(rates: Mapping[float, float], around: float, threshold: float) -> DoseWindow:
    """Finds the doses next to `around`, without a gap, whose rate is at least `threshold`.

    Args:
        rates: the rate (a fraction of one) at each dose tried, at one block, in one unit of dose.
        around: the dose that the window must contain, one of those tried.
        threshold: the rate that counts as steerable; the paper's is 0.60.

    Returns:
        The window, empty and closed when `around` itself does not reach the threshold. It is unbroken among
        the doses tried; of the doses between them nothing is known.

    Raises:
        ValueError: `around` was not tried.
    """
    doses = sorted(rates)
    if around not in rates:
        raise ValueError(f"the dose {around} was not tried; the doses are {', '.join(map(str, doses))}")
    if not rates[around] >= threshold:
        return DoseWindow((), open_below=False, open_above=False)
    first = last = doses.index(around)
    while first > 0 and rates[doses[first - 1]] >= threshold:
        first -= 1
    while last < len(doses) - 1 and rates[doses[last + 1]] >= threshold:
        last += 1
    return DoseWindow(
        tuple(doses[first : last + 1]), open_below=first == 0, open_above=last == len(doses) - 1
    )
