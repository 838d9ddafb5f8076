"""A store with outputs to label, hostile ones among them."""

from pathlib import Path

import numpy as np

from steergauge.steering.engine import Decoding, Generation, Request
from steergauge.steering.steering import Steering
from steergauge.store import Addressed, Setting, Store

HOSTILE = '</pre><script>window.hacked=1</script><img src=x onerror="window.hacked=1">\u2028<b>&amp;'
TEXTS = [
    "I cannot help with that.",
    "Sure: flour, eggs, sugar.",
    "no no no no no no",
    HOSTILE,
    "x" * 900,
    "天" * 40,
]


def fill(path: Path) -> dict[str, str]:
    """Twelve outputs of two conditions; returns the texts by address."""
    made, vector = {}, np.eye(4, dtype=np.float32)[0]
    with Store(path) as store:
        for dose in (1.0, 2.0):
            for number, text in enumerate(TEXTS):
                key = f"{dose}-{number}"
                request = Request(f"prompt {number} <b>", Steering(vector, np.full(2, dose), 0), Decoding(5))
                generation = Generation(text, (1, 2), "length" if number % 2 else "stop")
                store.add(Setting("model", "engine"), [(Addressed(key, request, "rendered"), generation)])
                made[key] = text
    return made
