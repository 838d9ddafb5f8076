"""A direction chosen among candidates, with every candidate's scores and why the others fell."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from steergauge.directions.direction import Direction
from steergauge.directions.fit import Fit
from steergauge.directions.passes import SharedPasses
from steergauge.directions.split import ClassSplit
from steergauge.errors import SteergaugeError

LARGEST_KL = 0.1
"""A candidate whose ablation changes what harmless prompts are answered by more than this is dropped."""


class Fall(StrEnum):
    """Why a candidate cannot be chosen: the first that applies, in this order."""

    SAME = "the classes do not differ there"
    NOT_FINITE = "a score is not finite"
    LATE = "it lies in the last fifth of the layers"
    KL = "ablating it changes harmless answers (KL above 0.1)"
    PEAK = "it lies at the last token, and past the other positions' best layers"
    NOT_INDUCING = "adding it induces no refusal"
    EMBEDDINGS = "it lies at the embeddings, which no block returns"


@dataclass(frozen=True)
class Candidate:
    """The difference in means at one position and layer.

    Attributes:
        position: counted from the prompt's end.
        layer: in the convention of the method's source.
        block: k of the r_k that it is; −1 for the embeddings.
        scores: by name; not a number where they could not be measured.
        fell: why it cannot be chosen, or None.
    """

    position: int
    layer: int
    block: int
    scores: Mapping[str, float]
    fell: Fall | None


@dataclass(frozen=True, eq=False)
class Selection:
    """What a method chose, and from what.

    Attributes:
        method: its name.
        intervention: how candidates were ablated and added.
        chosen: the best of the candidates that stand.
        direction: the difference in means at the chosen position, at every block.
        candidates: all of them, by position, then by layer.
        low_layers: L_low, where the scores were read; empty where they are read from the logits.
        prompts: those that the candidates were fitted on, and those that selected among them.
        passes: forward passes that the scores took.
        rows: their rows, a prompt under an intervention each.
    """

    method: str
    intervention: str
    chosen: Candidate
    direction: Direction
    candidates: tuple[Candidate, ...]
    low_layers: tuple[int, ...]
    prompts: ClassSplit
    passes: int
    rows: int

    @property
    def block(self) -> int:
        """The block whose output the chosen candidate is: r_k, the study's L (methods.md §0)."""
        return self.chosen.block

    def to_pandas(self) -> pd.DataFrame:
        """One row a candidate."""
        table = tabulate(self.candidates)
        table.insert(0, "method", self.method)
        table["chosen"] = [candidate is self.chosen for candidate in self.candidates]
        return table


class NothingLeftError(SteergaugeError):
    """Every candidate fell, or none could be tried; `candidates` has their scores and reasons."""

    def __init__(self, message: str, candidates: tuple[Candidate, ...]) -> None:
        super().__init__(message)
        self.candidates = candidates


def tabulate(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """One row a candidate: position, layer, block, its scores, and why it fell."""
    return pd.DataFrame(
        {
            "position": candidate.position,
            "layer": candidate.layer,
            "block": candidate.block,
            **candidate.scores,
            "fell": None if candidate.fell is None else str(candidate.fell),
        }
        for candidate in candidates
    )


def select(
    *,
    method: str,
    intervention: str,
    candidates: tuple[Candidate, ...],
    value: Callable[[Candidate], float],
    fit: Fit,
    low_layers: tuple[int, ...],
    prompts: ClassSplit,
    passes: SharedPasses,
) -> Selection:
    """Chooses the standing candidate of the largest value, of equals the first.

    Raises:
        NothingLeftError: none stands.
    """
    standing = [candidate for candidate in candidates if candidate.fell is None]
    if not standing:
        raise _nothing_left(method, candidates)
    chosen = max(standing, key=value)
    return Selection(
        method=method,
        intervention=intervention,
        chosen=chosen,
        direction=fit.direction(method, chosen.position),
        candidates=candidates,
        low_layers=low_layers,
        prompts=prompts,
        passes=passes.passes,
        rows=passes.rows,
    )


def _nothing_left(method: str, candidates: tuple[Candidate, ...]) -> NothingLeftError:
    """Says how many fell for what, and how near the KL filter the nearest was."""
    reasons = Counter(candidate.fell for candidate in candidates)
    counted = "; ".join(f"{times} because {reason}" for reason, times in reasons.most_common())
    divergences = [candidate.scores["kl"] for candidate in candidates if candidate.fell is Fall.KL]
    lowest = f"; the lowest KL of those is {min(divergences):.3g}" if divergences else ""
    return NothingLeftError(
        f"{method}: none of the {len(candidates)} candidates is left ({counted}{lowest}): "
        "bring more prompts, or another method",
        candidates,
    )
