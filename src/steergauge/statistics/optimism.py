"""What choosing the best of several conditions adds to its rate."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from steergauge.errors import SteergaugeError
from steergauge.statistics.proportions import require_counts

_Array = npt.NDArray[np.float64]


class Optimism(NamedTuple):
    """The best rate of a sweep, and by how much a best rate exceeds its condition's own on average."""

    best: float  # as observed, a fraction of one
    optimism: float  # expected excess, a fraction of one
    conditions: int


def optimism_from_counts(
    successes: Sequence[int], n: int, simulations: int = 20_000, seed: int = 0
) -> Optimism:
    """The optimism of reporting the best of conditions measured on `n` distinct prompts each.

    Simulates the sweep with the observed rates as the true ones and takes the best each time: its rate there
    less its true rate, on average. Assumes that conditions vary independently, as only counts are known; on
    the same prompts they vary together, and the optimism is then smaller. Rates of 0 and 1 are taken as exact.

    Raises:
        ValueError: no condition, no prompt, or a count outside 0 … `n`.
    """
    if not successes or n < 1:
        raise ValueError("an optimism needs at least one condition and one prompt")
    for count in successes:
        require_counts(count, n)
    rates = np.array(successes) / n
    generator = np.random.default_rng(seed)
    resampled = generator.binomial(n, rates, size=(simulations, len(rates))) / n
    return Optimism(float(rates.max()), _optimism(resampled, rates), len(rates))


def optimism_from_outcomes(
    conditions: Sequence[Mapping[str, bool]], resamples: int = 5_000, seed: int = 0
) -> Optimism:
    """The optimism where each condition's outcome on each of the same prompts is known.

    Efron's bootstrap: prompts are drawn again, the best condition is chosen on them, and its rate there is
    compared with its rate on the prompts as measured. Assumes independent prompts. Source: Efron 1983,
    Journal of the American Statistical Association 78:316.

    Raises:
        SteergaugeError: no condition or prompt, or conditions on different prompts.
    """
    if not conditions or not conditions[0]:
        raise SteergaugeError("an optimism needs at least one condition and one prompt")
    prompts = list(conditions[0])
    if any(condition.keys() != conditions[0].keys() for condition in conditions):
        raise SteergaugeError("the conditions of a sweep must be measured on the same prompts")
    # (conditions, prompts)
    outcomes = np.array([[condition[prompt] for prompt in prompts] for condition in conditions], dtype=float)
    weights = np.random.default_rng(seed).multinomial(
        len(prompts), [1 / len(prompts)] * len(prompts), size=resamples
    )
    resampled = weights @ outcomes.T / len(prompts)  # (resamples, conditions)
    rates = outcomes.mean(axis=1)
    return Optimism(float(rates.max()), _optimism(resampled, rates), len(conditions))


def _optimism(resampled: _Array, rates: _Array) -> float:
    """The mean of the best rate less the rate of the condition that had it; of ties any one is chosen."""
    best = resampled.max(axis=1, keepdims=True)
    tied = resampled >= best - 1e-12
    return float((best[:, 0] - (tied * rates).sum(axis=1) / tied.sum(axis=1)).mean())
