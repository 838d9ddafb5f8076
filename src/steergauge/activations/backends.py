"""The table of capture backends."""

from steergauge.activations import hidden_states, hooks, nnsight, pyvene, transformer_lens
from steergauge.activations.activations import Capture
from steergauge.errors import SteergaugeError, nearest

REFERENCE = "hooks"
"""The backend that the others are measured against."""

BACKENDS: dict[str, Capture] = {
    "hooks": hooks.capture,
    "hidden_states": hidden_states.capture,
    "nnsight": nnsight.capture,
    "transformer_lens": transformer_lens.capture,
    "pyvene": pyvene.capture,
}


def find_backend(name: str) -> Capture:
    """The capture backend of that name.

    Raises:
        SteergaugeError: there is none; the near names are given.
    """
    if name not in BACKENDS:
        raise SteergaugeError(f"no capture backend {name!r}; {nearest(name, BACKENDS)}")
    return BACKENDS[name]
