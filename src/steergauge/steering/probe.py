"""Reading what a steering does to one prompt, where the engine runs it: what the checks of the instrument rest on."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from steergauge.steering.engine import AnySteering


class Probe(NamedTuple):
    """One prefill, and one step with the prompt's last token again, so that all probes are on the same tokens.

    Attributes:
        stream: what leaves a block, steered, of the prompt and the step, (tokens, width).
        magnitude: the size of what it was added up from, which its rounding is in proportion to, (tokens, width).
        finite: whether the logits are.
        prefill: how many of the prompt's tokens were steered.
        step: how many of the step's.
    """

    stream: NDArray[np.float64]
    magnitude: NDArray[np.float64]
    finite: bool
    prefill: int
    step: int


Prober: TypeAlias = Callable[[str, AnySteering, int], Probe]
"""(prompt, steering, block) → what it does there."""


@runtime_checkable
class Probing(Protocol):
    """An engine that does not run a `Model`'s own module, so it has to read its streams itself."""

    def probe(self, prompt: str, steering: AnySteering, block: int) -> Probe:
        """What a steering does to one prompt after a block."""
        ...
