"""How low the rank of the class difference is, block by block (the study's hypothesis 3), with bootstrap intervals.

The hypothesis compares models of several sizes, so widths. What to compare, on the same prompts for all models:

- `first_share`, `entropy_rank`, `participation_ratio` are of the n differences as they are (`spectrum`): at most n,
  and between models of any width, all wider than n, they have the same range. Noise moves them towards n and a wide
  stream holds more of it, so each has its `baseline` beside it, the same number for what the negative prompts of that
  model differ by.
- `population_ratio` estimates the participation ratio of all pairs such as these, (Σλ)²/Σλ² of their second moment,
  not that of the n at hand. It replaces both squares by sums over different pairs, Σ_{i≠j} ‖δ_i‖²‖δ_j‖² and
  Σ_{i≠j} ⟨δ_i, δ_j⟩², so that no pair meets itself: the bound n is gone and the range is 1 … width. With few
  pairs it is very uncertain, and infinite where all δ are at right angles.

**Intervals.** Resampling pairs repeats some, and repeats lower every rank: a plain percentile interval of the first three
lies below the number itself, most of the time without covering what the same number of new pairs would give.
So the middle 95% of the draws is moved until its median is the estimate. `population_ratio` leaves pairs of one prompt
with itself out, needs no such shift and is not given one.

Equal generators and numbers of pairs give equal resamples: draws of two models then pair up, and their difference,
draw by draw, is what a comparison of sizes should rest on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steergauge.directions.difference_rank import baseline_differences, require_difference_pairs
from steergauge.directions.spectrum import Array, hill_numbers
from steergauge.errors import SteergaugeError

DRAWS = 1000


class RankStatistic(StrEnum):
    """A number that says how few directions the differences lie along."""

    FIRST_SHARE = "first_share"
    """Variance explained by the first axis, the reciprocal of the stable rank."""
    ENTROPY_RANK = "entropy_rank"
    PARTICIPATION_RATIO = "participation_ratio"
    POPULATION_RATIO = "population_ratio"


class RankEstimate(NamedTuple):
    """One statistic at one block.

    Attributes:
        value: of the pairs at hand.
        low: of the 95% interval.
        high: of the 95% interval.
        relative: the value over the largest possible: 1 for a share, n or the width for the ranks, whichever is less, and
            the width for the population's.
        baseline: the same statistic of what the negative prompts differ by.
    """

    value: float
    low: float
    high: float
    relative: float
    baseline: float


@dataclass(frozen=True, eq=False)
class RankByBlock:
    """All statistics at all blocks.

    Attributes:
        pairs: n.
        width: of the stream.
        values: each statistic, (blocks,).
        draws: of resampled pairs, (draws, blocks); not a number where a resample holds one pair only.
        baselines: of the negative prompts' differences, (blocks,).
    """

    pairs: int
    width: int
    values: Mapping[RankStatistic, Array]
    draws: Mapping[RankStatistic, Array]
    baselines: Mapping[RankStatistic, Array]

    def at(self, statistic: RankStatistic, block: int) -> RankEstimate:
        """One statistic at one block, with its interval.

        Raises:
            SteergaugeError: there is no such block.
        """
        values = self.values[statistic]
        if not 0 <= block < len(values):
            raise SteergaugeError(f"block {block} is out of range: there are blocks 0 to {len(values) - 1}")
        value, most = float(values[block]), self._most(statistic)
        low, middle, high = _quantiles(self.draws[statistic][:, block])
        if statistic is not RankStatistic.POPULATION_RATIO:
            least = 0.0 if statistic is RankStatistic.FIRST_SHARE else 1.0
            low, high = max(value + low - middle, least), min(value + high - middle, most)
        return RankEstimate(value, low, high, value / most, float(self.baselines[statistic][block]))

    def to_pandas(self) -> pd.DataFrame:
        """One row a statistic and block."""
        rows = [
            {"statistic": str(statistic), "block": block, **self.at(statistic, block)._asdict()}
            for statistic, values in self.values.items()
            for block in range(len(values))
        ]
        return pd.DataFrame(rows).assign(pairs=self.pairs, width=self.width)

    def _most(self, statistic: RankStatistic) -> float:
        return {
            RankStatistic.FIRST_SHARE: 1.0,
            RankStatistic.POPULATION_RATIO: float(self.width),
        }.get(statistic, float(min(self.pairs, self.width)))


def rank_by_block(
    positive: NDArray[np.float32],
    negative: NDArray[np.float32],
    generator: np.random.Generator,
    draws: int = DRAWS,
) -> RankByBlock:
    """Measures the paired differences δ_i = x_i⁺ − x_i⁻, uncentred, at every block.

    Args:
        positive: readings of the positive prompts at their last token, (prompts, blocks, width).
        negative: the same for their counterparts, in the same order.
        generator: of the resamples; the same at every block.
        draws: how many resamples.

    Raises:
        SteergaugeError: there are fewer than two pairs, the classes are not pairs, a number is not finite, no draw is
            asked for, or no pair differs at a block.
    """
    require_difference_pairs("rank", positive, negative)
    if draws < 1:
        raise SteergaugeError(f"an interval needs at least one draw, not {draws}")
    pairs, blocks, width = positive.shape
    chosen = generator.integers(pairs, size=(draws, pairs))
    counts = np.stack([np.bincount(draw, minlength=pairs) for draw in chosen]).astype(np.float64)
    once = np.ones((1, pairs))
    values, resampled, baselines = (
        {statistic: np.empty((rows, blocks)) for statistic in RankStatistic} for rows in (1, draws, 1)
    )
    for block in range(blocks):
        ours, theirs = positive[:, block].astype(np.float64), negative[:, block].astype(np.float64)
        differences, baseline = ours - theirs, baseline_differences(theirs)
        if not differences.any():
            raise SteergaugeError(
                f"rank: no pair differs after block {block}, so there is nothing to measure"
            )
        for rows, weights, into in (
            (differences, once, values),
            (differences, counts, resampled),
            (baseline, once, baselines),
        ):
            for statistic, found in _statistics(rows @ rows.T, weights).items():
                into[statistic][:, block] = found
    return RankByBlock(
        pairs=pairs,
        width=width,
        values={statistic: found[0] for statistic, found in values.items()},
        draws=resampled,
        baselines={statistic: found[0] for statistic, found in baselines.items()},
    )


def _statistics(products: Array, weights: Array) -> dict[RankStatistic, Array]:
    """From inner products of rows, (rows, rows), and how often each row is drawn, (draws, rows): (draws,) each."""
    roots = np.sqrt(weights)
    variances = np.linalg.eigvalsh(roots[:, :, None] * products * roots[:, None, :]).clip(min=0)
    totals = variances.sum(axis=1, keepdims=True)
    shares = np.divide(variances, totals, out=np.zeros_like(variances), where=totals > 0)
    ranks = hill_numbers(shares)
    return {
        RankStatistic.FIRST_SHARE: shares.max(axis=1),
        RankStatistic.ENTROPY_RANK: ranks.entropy,
        RankStatistic.PARTICIPATION_RATIO: ranks.participation,
        RankStatistic.POPULATION_RATIO: _population_ratio(products, weights),
    }


def _population_ratio(products: Array, weights: Array) -> Array:
    """Σ_{i≠j} w_i·w_j·‖δ_i‖²‖δ_j‖² over Σ_{i≠j} w_i·w_j·⟨δ_i, δ_j⟩², (draws,)."""
    squares = np.diagonal(products)
    between = products**2
    np.fill_diagonal(between, 0.0)
    lengths = np.outer(squares, squares)
    np.fill_diagonal(lengths, 0.0)
    above, below = (np.einsum("di,ij,dj->d", weights, each, weights) for each in (lengths, between))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: Array = above / below
    return ratios


def _quantiles(draws: Array) -> tuple[float, float, float]:
    usable = draws[~np.isnan(draws)]
    if not len(usable):
        return float("nan"), float("nan"), float("nan")
    # Not interpolated: a draw can be infinite.
    low, middle, high = np.quantile(usable, (0.025, 0.5, 0.975), method="closest_observation")
    return float(low), float(middle), float(high)
