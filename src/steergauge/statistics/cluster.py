"""Rates from several samples of each prompt: the prompt is what was drawn, so the prompt is resampled."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap

from steergauge.statistics.proportions import Interval

_Array = npt.NDArray[np.float64]


def cluster_bootstrap_interval(
    outcomes: Mapping[str, Sequence[bool]],
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """The percentile interval of the rate over all samples, from resampling prompts with all their samples.

    Assumes that prompts are independent; says nothing of how the samples of one prompt depend. So five equal
    samples of ten prompts give the interval of ten observations. With few prompts (under about 20) it is
    somewhat too narrow, and where every sample came out the same it has no width: then use `wilson_interval`
    over the prompts. Source: Davison and Hinkley 1997, Bootstrap Methods, section 3.8.

    Args:
        outcomes: prompt → the success of each of its samples.
        confidence: between 0 and 1.
        resamples: how many times the prompts are drawn.
        seed: of the draws.

    Raises:
        ValueError: there is no prompt, or a prompt has no sample.
    """
    if not outcomes or not all(outcomes.values()):
        raise ValueError("a cluster bootstrap needs at least one prompt, and a sample of each")
    successes = np.array([sum(samples) for samples in outcomes.values()], dtype=np.float64)
    samples = np.array([len(samples) for samples in outcomes.values()], dtype=np.float64)
    rate = float(successes.sum() / samples.sum())
    if len(outcomes) == 1 or np.ptp(successes / samples) == 0:
        return Interval(rate, rate)  # every resample is the same, which scipy refuses
    return _interval((successes, samples), _rate, confidence, resamples, seed)


def cluster_difference_interval(
    outcomes: Mapping[str, Sequence[bool]],
    reference: Mapping[str, bool],
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """The percentile interval of the rate over all samples minus that of a reference with one outcome a prompt.

    Prompts are resampled with all their samples and their reference together, as in `cluster_bootstrap_interval`, whose
    assumptions and limits it shares: where every prompt differs by the same, it has no width.

    Args:
        outcomes: prompt → the success of each of its samples.
        reference: prompt → its success, of the same prompts.
        confidence: between 0 and 1.
        resamples: how many times the prompts are drawn.
        seed: of the draws.

    Raises:
        ValueError: there is no prompt, a prompt has no sample, or the reference has other prompts.
    """
    if not outcomes or not all(outcomes.values()) or outcomes.keys() != reference.keys():
        raise ValueError(
            "a difference needs at least one prompt, samples of each, and the same ones on both sides"
        )
    successes = np.array([sum(samples) for samples in outcomes.values()], dtype=np.float64)
    samples = np.array([len(samples) for samples in outcomes.values()], dtype=np.float64)
    once = np.array([reference[prompt] for prompt in outcomes], dtype=np.float64)
    shares = successes / samples
    alike = np.ptp(shares) == 0 and np.ptp(once) == 0
    if alike or (np.ptp(samples) == 0 and np.ptp(shares - once) == 0):
        difference = float(shares[0] - once[0])
        return Interval(difference, difference)  # every resample is the same, which scipy refuses
    return _interval((successes, samples, once), _difference, confidence, resamples, seed)


def _interval(
    of_prompts: tuple[_Array, ...],
    statistic: Callable[..., _Array],
    confidence: float,
    resamples: int,
    seed: int,
) -> Interval:
    """The percentile interval of a statistic over prompts, each resampled with all that is known of it."""
    found = bootstrap(
        of_prompts,
        statistic,
        paired=True,
        vectorized=True,
        confidence_level=confidence,
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


def _difference(successes: _Array, samples: _Array, reference: _Array, axis: int) -> _Array:
    return np.asarray(_rate(successes, samples, axis) - reference.mean(axis=axis))


def _rate(successes: _Array, samples: _Array, axis: int) -> _Array:
    return np.asarray(successes.sum(axis=axis) / samples.sum(axis=axis))
