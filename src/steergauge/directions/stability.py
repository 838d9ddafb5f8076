"""How much a direction depends on the prompts that it was extracted from (the study's hypothesis 4).

From captured readings alone, by any method of the table, in two designs:

- **bootstrap**: each draw resamples the prompts with replacement; its direction is compared with that of the whole set.
- **halves**: each draw splits the prompts in two disjoint halves; their two directions are compared.

They answer differently. A resample shares its prompts with the whole set: of classes that do not differ at all, with n
prompts each in a wide stream, the bootstrap's cosine is still about 1/√(1 + (n−1)/n), .75 for five and .71 for many, and that
of the halves about 0. Halves hold half the prompts, so they are the stricter of the two.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steergauge.directions.cross_cosine import cosines_by_block
from steergauge.directions.methods import find_method
from steergauge.errors import SteergaugeError

ROBUST_COSINE = 0.95
"""The median cosine from which a direction counts as robust."""

PAIR_METHODS = frozenset({"caa", "pca_diff", "pca_center", "svd"})
"""Methods in which the i-th prompts of both classes are a pair: their prompts are drawn in pairs."""

Readings = NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Told how many draws are done, and of how many."""


class Design(StrEnum):
    """How the prompts were drawn."""

    BOOTSTRAP = "bootstrap"
    HALVES = "halves"


class Robustness(StrEnum):
    """What the cosines at a block say."""

    ROBUST = "robust"
    FRAGILE = "fragile"


@dataclass(frozen=True)
class BlockStability:
    """The cosines at one block.

    Attributes:
        block: k, of r_k.
        median: of the draws that gave a direction.
        low: their 2.5th percentile.
        high: their 97.5th.
        minimum: the lowest.
        verdict: robust where the median is at least .95 with every degenerate draw counted as −1.
    """

    block: int
    median: float
    low: float
    high: float
    minimum: float
    verdict: Robustness


@dataclass(frozen=True, eq=False)
class Stability:
    """The cosines of all draws, block by block.

    Attributes:
        method: the extraction method.
        design: how the prompts were drawn.
        in_pairs: whether the i-th prompts of both classes were drawn together.
        draws: how many were made, degenerate ones included.
        degenerate: draws in which the method gave no direction.
        reason: what the method said at the first of those.
        cosines: of the others, (draws − degenerate, blocks).
    """

    method: str
    design: Design
    in_pairs: bool
    draws: int
    degenerate: int
    reason: str | None
    cosines: NDArray[np.float64]

    def at(self, block: int) -> BlockStability:
        """The distribution at one block, and the verdict there.

        Raises:
            SteergaugeError: there is no such block.
        """
        blocks = self.cosines.shape[1]
        if not 0 <= block < blocks:
            raise SteergaugeError(f"block {block} is out of range: there are blocks 0 to {blocks - 1}")
        cosines = self.cosines[:, block]
        low, high = np.quantile(cosines, (0.025, 0.975))
        counted = np.append(cosines, np.full(self.degenerate, -1.0))
        return BlockStability(
            block=block,
            median=float(np.median(cosines)),
            low=float(low),
            high=float(high),
            minimum=float(cosines.min()),
            verdict=Robustness.ROBUST if np.median(counted) >= ROBUST_COSINE else Robustness.FRAGILE,
        )

    @property
    def by_block(self) -> tuple[BlockStability, ...]:
        """The distribution at every block."""
        return tuple(self.at(block) for block in range(self.cosines.shape[1]))

    def to_pandas(self) -> pd.DataFrame:
        """One row a block."""
        rows = [
            {
                "method": self.method,
                "design": str(self.design),
                "in_pairs": self.in_pairs,
                "draws": self.draws,
                "degenerate": self.degenerate,
                "block": at.block,
                "median": at.median,
                "low": at.low,
                "high": at.high,
                "minimum": at.minimum,
                "verdict": str(at.verdict),
            }
            for at in self.by_block
        ]
        return pd.DataFrame(rows)


def bootstrap_stability(
    method: str,
    positive: Readings,
    negative: Readings,
    generator: np.random.Generator,
    *,
    draws: int = 1000,
    in_pairs: bool | None = None,
    progress: Progress | None = None,
) -> Stability:
    """The cosine of each resample's direction with that of the whole set.

    Args:
        method: a name of the table of methods.
        positive: readings of the positive prompts, (prompts, blocks, width).
        negative: the same for the negative prompts.
        generator: what the resamples are drawn from.
        draws: how many.
        in_pairs: draw the i-th prompts of both classes together; default: for methods that read pairs.
        progress: told after each draw.

    Raises:
        SteergaugeError: the whole set or every resample gives no direction, or the classes are not pairs.
    """
    extract, paired = find_method(method), drawn_in_pairs(method, len(positive), len(negative), in_pairs)
    whole = extract(positive, negative)

    def draw() -> NDArray[np.float64]:
        ours = generator.integers(len(positive), size=len(positive))
        theirs = ours if paired else generator.integers(len(negative), size=len(negative))
        return cosines_by_block(extract(positive[ours], negative[theirs]), whole)

    return _repeat(
        draw, method=method, design=Design.BOOTSTRAP, in_pairs=paired, draws=draws, progress=progress
    )


def halves_stability(
    method: str,
    positive: Readings,
    negative: Readings,
    generator: np.random.Generator,
    *,
    draws: int = 1000,
    in_pairs: bool | None = None,
    progress: Progress | None = None,
) -> Stability:
    """The cosine between the directions of two disjoint halves; of an odd number one half has one prompt more.

    Args:
        method: a name of the table of methods.
        positive: readings of the positive prompts, (prompts, blocks, width).
        negative: the same for the negative prompts.
        generator: what the halves are drawn from.
        draws: how many splits.
        in_pairs: keep the i-th prompts of both classes in one half; default: for methods that read pairs.
        progress: told after each draw.

    Raises:
        SteergaugeError: a class has one prompt, the whole set or every split gives no direction, or the classes
            are not pairs.
    """
    extract, paired = find_method(method), drawn_in_pairs(method, len(positive), len(negative), in_pairs)
    extract(positive, negative)  # what is wrong with the whole set is an error, not a degenerate draw
    if min(len(positive), len(negative)) < 2:
        raise SteergaugeError(
            f"a class of {min(len(positive), len(negative))} prompt has no halves; "
            "disjoint halves need at least two prompts a class"
        )

    def draw() -> NDArray[np.float64]:
        ours = generator.permutation(len(positive))
        theirs = ours if paired else generator.permutation(len(negative))
        middle, other_middle = len(ours) // 2, len(theirs) // 2
        first = extract(positive[ours[:middle]], negative[theirs[:other_middle]])
        return cosines_by_block(first, extract(positive[ours[middle:]], negative[theirs[other_middle:]]))

    return _repeat(draw, method=method, design=Design.HALVES, in_pairs=paired, draws=draws, progress=progress)


def drawn_in_pairs(method: str, positive: int, negative: int, in_pairs: bool | None) -> bool:
    """Whether the i-th prompts of both classes are drawn together; None asks for what the method reads.

    Raises:
        SteergaugeError: it reads pairs and they were to be torn apart, or there are not as many `positive` as
            `negative` prompts.
    """
    if in_pairs is False and method in PAIR_METHODS:
        raise SteergaugeError(f"{method} reads pairs, so its prompts can only be drawn in pairs")
    paired = method in PAIR_METHODS if in_pairs is None else in_pairs
    if paired and positive != negative:
        raise SteergaugeError(
            f"prompts cannot be drawn in pairs: there are {positive} positive and {negative} negative ones; "
            "give every prompt its counterpart, in the same order"
        )
    return paired


def _repeat(
    draw: Callable[[], NDArray[np.float64]],
    *,
    method: str,
    design: Design,
    in_pairs: bool,
    draws: int,
    progress: Progress | None,
) -> Stability:
    if draws < 1:
        raise SteergaugeError(f"stability needs at least one draw, not {draws}")
    cosines: list[NDArray[np.float64]] = []
    reasons: list[str] = []
    for done in range(1, draws + 1):
        try:
            cosines.append(draw())
        except SteergaugeError as reason:  # the whole set was accepted, so it is this draw that is degenerate
            reasons.append(str(reason))
        if progress is not None:
            progress(done, draws)
    if not cosines:
        raise SteergaugeError(f"{method} gives no direction in any of {draws} draws ({design}): {reasons[0]}")
    return Stability(
        method=method,
        design=design,
        in_pairs=in_pairs,
        draws=draws,
        degenerate=len(reasons),
        reason=reasons[0] if reasons else None,
        cosines=np.stack(cosines),  # (draws, blocks)
    )
