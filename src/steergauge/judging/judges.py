"""The judges there are, by name."""

from steergauge.errors import SteergaugeError, nearest
from steergauge.judging.gauge import GaugeJudge
from steergauge.judging.label import Judge
from steergauge.judging.study import StudyJudge

JUDGES: dict[str, Judge] = {
    "gauge": GaugeJudge(),
    "study": StudyJudge(),
}


def find_judge(name: str) -> Judge:
    """Finds a judge by its name.

    Raises:
        SteergaugeError: no judge has that name; the message says which names are near.
    """
    try:
        return JUDGES[name]
    except KeyError:
        raise SteergaugeError(f"there is no judge {name!r}: {nearest(name, JUDGES)}") from None
