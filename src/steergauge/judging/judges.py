"""The judges there are, by name."""

from steergauge.errors import SteergaugeError, nearest
from steergauge.judging.endpoint import PREFIX as ENDPOINT
from steergauge.judging.endpoint import EndpointJudge
from steergauge.judging.gauge import GaugeJudge
from steergauge.judging.label import Judge
from steergauge.judging.study import StudyJudge

MODEL = "model:"
"""How the name of a judge begins that is a model on this machine (studies/model_judge.py)."""

JUDGES: dict[str, Judge] = {
    "gauge": GaugeJudge(),
    "study": StudyJudge(),
}

DEFAULT_JUDGE = "gauge"
"""The one whose error is known (docs/judges.md). The built-in studies name the paper's own rule, `study`."""


def find_judge(name: str) -> Judge:
    """Finds a judge by its name, or makes one that asks an endpoint: `endpoint:URL#MODEL`.

    Raises:
        SteergaugeError: no judge has that name, and the message says which names are near; or the endpoint's
            URL is none.
    """
    if name.startswith(ENDPOINT):
        return EndpointJudge(name)
    try:
        return JUDGES[name]
    except KeyError:
        known = [*JUDGES, f"{MODEL}NAME", f"{ENDPOINT}URL#MODEL"]
        raise SteergaugeError(f"there is no judge {name!r}: {nearest(name, known)}") from None


def require_judge(name: str) -> None:
    """Refuses a name that no judge can have. What it takes to load a model is found out when it is loaded.

    Raises:
        SteergaugeError: as `find_judge` does; or no model is named.
    """
    if not name.startswith(MODEL):
        find_judge(name)
    elif name == MODEL:
        raise SteergaugeError(
            f"the judge {name!r} names no model: give {MODEL}NAME, such as {MODEL}qwen2.5-coder-1.5b"
        )
