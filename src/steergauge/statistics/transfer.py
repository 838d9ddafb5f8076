"""Transfer efficiency: how well another model's direction steers, against the model's own."""

import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import DegenerateDataWarning, bootstrap

from steergauge.errors import SteergaugeError

RESAMPLES = 10_000
STUDY_SEED = 999
_Array = npt.NDArray[np.float64]


class TransferEfficiency(NamedTuple):
    """Rate of the transferred direction / rate of the target's own, with a 95% interval of resampling."""

    ratio: float
    low: float
    high: float
    left_out: int  # resamples in which the own rate was zero, so that there is no ratio


def transfer_efficiency(
    transferred: Mapping[str, bool], own: Mapping[str, bool], resamples: int = RESAMPLES, seed: int = 0
) -> TransferEfficiency:
    """The efficiency from outcomes prompt → success, resampling *prompts*: both outcomes of a prompt together.

    Assumes independent prompts, each counted once, the same under both directions. Percentile interval. Where
    neither rate varies the interval has no width, and where the own rate is small it leaves out the resamples
    without a success: `left_out` says how many.

    Raises:
        SteergaugeError: other prompts on the two sides, none, or no success of the own direction.
    """
    if transferred.keys() != own.keys():
        raise SteergaugeError(
            "a transfer efficiency needs the same prompts under the transferred and the own direction"
        )
    prompts = list(own)
    first = np.array([transferred[prompt] for prompt in prompts], dtype=np.float64)
    second = np.array([own[prompt] for prompt in prompts], dtype=np.float64)
    _require_success(second)
    if len(prompts) == 1:
        return TransferEfficiency(float(first[0]), float(first[0]), float(first[0]), 0)
    with warnings.catch_warnings():
        # Of scipy's own interval, which resamples without a ratio spoil; ours leaves those out.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        found = bootstrap(
            (first, second),
            _ratio,
            paired=True,
            vectorized=True,
            n_resamples=resamples,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    return _summary(first, second, found.bootstrap_distribution)


def study_transfer_efficiency(transferred: Sequence[bool], own: Sequence[bool]) -> TransferEfficiency:
    """The efficiency with the study's interval, to compare with what it published (methods.md, section 7).

    The two sides are resampled independently, as if they were different prompts: index arrays from numpy's
    `RandomState(999)`, drawn at once with shape (10000, 2, n), [:, 0] for the transferred and [:, 1] for the
    own side. Resamples without an own success are left out; the ends are the percentiles 2.5 and 97.5. The
    order of the outcomes matters to a fixed seed: where only counts were published, `outcomes_from_counts`.

    Raises:
        SteergaugeError: the sides differ in length, are empty, or the own direction has no success.
    """
    if len(transferred) != len(own):
        raise SteergaugeError(
            f"the study's interval needs as many outcomes on both sides, not {len(transferred)} and {len(own)}"
        )
    first, second = np.array(transferred, dtype=np.float64), np.array(own, dtype=np.float64)
    _require_success(second)
    indices = np.random.RandomState(STUDY_SEED).randint(0, len(own), size=(RESAMPLES, 2, len(own)))
    ratios = _ratio(first[indices[:, 0]], second[indices[:, 1]], axis=-1)
    return _summary(first, second, ratios)


def outcomes_from_counts(count: int, n: int) -> list[bool]:
    """The outcomes that the study rebuilds from a count: the successes first."""
    return [True] * count + [False] * (n - count)


def _ratio(transferred: _Array, own: _Array, axis: int) -> _Array:
    """The ratios of the rates; not a number where the own rate is zero."""
    above, below = transferred.mean(axis=axis), own.mean(axis=axis)
    ratios: _Array = np.divide(above, below, out=np.full_like(below, np.nan), where=below > 0)
    return ratios


def _summary(transferred: _Array, own: _Array, ratios: _Array) -> TransferEfficiency:
    kept = ratios[np.isfinite(ratios)]
    low, high = np.percentile(kept, [2.5, 97.5])
    return TransferEfficiency(
        float(transferred.mean() / own.mean()), float(low), float(high), len(ratios) - len(kept)
    )


def _require_success(own: _Array) -> None:
    if not own.any():
        raise SteergaugeError(
            "a transfer efficiency needs a success of the target's own direction, and there is none"
        )
