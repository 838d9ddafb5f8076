"""How likely a difference is to be found, and how many prompts it would take."""

from functools import cache

import numpy as np
from scipy.stats import binom
from statsmodels.stats.proportion import power_proportions_2indep, samplesize_proportions_2indep_onetail

_MOST_PROMPTS = 4096


def unpaired_power(first: float, second: float, n: int, alpha: float = 0.05) -> float:
    """The chance that a two-sided z test tells two rates apart, with `n` prompts in each of two sets.

    Assumes independent sets of distinct prompts, and the normal approximation (pooled variance under no
    difference). Fisher's exact test has less: ask for a tenth more prompts.

    Raises:
        ValueError: a rate is not within 0 … 1, or there is no prompt.
    """
    _require_rates(first, second)
    if n < 1:
        raise ValueError(f"a power needs at least one prompt, not {n}")
    if first == second:
        return alpha
    return float(power_proportions_2indep(first - second, second, n, alpha=alpha).power)


def unpaired_prompts_needed(first: float, second: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """How many prompts *each* of two sets needs to tell the rates apart; assumes what `unpaired_power` does.

    Raises:
        ValueError: the rates are equal, or one is not within 0 … 1.
    """
    _require_rates(first, second)
    if first == second:
        raise ValueError("no number of prompts tells equal rates apart")
    needed = samplesize_proportions_2indep_onetail(first - second, second, power, alpha=alpha)
    return int(np.ceil(needed))


def paired_power(gained: float, lost: float, n: int, alpha: float = 0.05) -> float:
    """The chance that McNemar's exact two-sided test finds a difference on `n` prompts, each asked in both conditions.

    Exact, over how many prompts change and how: the number that change is binomial with `gained` + `lost`,
    and those gained among them with their share. Assumes independent prompts. What decides is how *many*
    prompts change, not the two rates: guess it from a pilot. By hand, as neither scipy nor statsmodels has it.

    Args:
        gained: probability that a prompt succeeds in the first condition only.
        lost: probability that it succeeds in the second only.
        n: distinct prompts.
        alpha: level of the test.

    Raises:
        ValueError: the probabilities are negative or sum to more than 1, or there is no prompt.
    """
    _require_changes(gained, lost)
    if n < 1:
        raise ValueError(f"a power needs at least one prompt, not {n}")
    changed = gained + lost
    if changed == 0:
        return 0.0
    numbers = np.arange(n + 1)
    rejected = np.array([_rejected(int(number), gained / changed, alpha) for number in numbers])
    return float(binom.pmf(numbers, n, min(changed, 1.0)) @ rejected)


def paired_prompts_needed(gained: float, lost: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """The fewest distinct prompts with which `paired_power` reaches `power`, and keeps it with a few more.

    Raises:
        ValueError: the probabilities are equal, negative, or sum to more than 1; or more than 4096 are needed.
    """
    _require_changes(gained, lost)
    if gained == lost:
        raise ValueError("no number of prompts finds a difference where as many are gained as lost")
    # The exact power goes up and down as n grows, so one n that reaches it is not enough.
    reached = 0
    for n in range(1, _MOST_PROMPTS + 1):
        reached = reached + 1 if paired_power(gained, lost, n, alpha) >= power else 0
        if reached == _IN_A_ROW:
            return n - _IN_A_ROW + 1
    raise ValueError(f"more than {_MOST_PROMPTS} prompts are needed for {gained} gained and {lost} lost")


_IN_A_ROW = 10


@cache
def _rejected(changed: int, share_gained: float, alpha: float) -> float:
    """The chance that the test rejects, given how many prompts changed."""
    # Rejects when the smaller side k has 2·P(K ≤ k) ≤ α under one half.
    counts = np.arange(changed // 2 + 1)
    rejecting = counts[2 * binom.cdf(counts, changed, 0.5) <= alpha]
    if not rejecting.size:
        return 0.0
    most = int(rejecting[-1])
    return float(binom.cdf(most, changed, share_gained) + binom.sf(changed - most - 1, changed, share_gained))


def _require_rates(*rates: float) -> None:
    for rate in rates:
        if not 0 <= rate <= 1:
            raise ValueError(f"a rate is a fraction within 0 … 1, not {rate}")


def _require_changes(gained: float, lost: float) -> None:
    if not (gained >= 0 and lost >= 0 and gained + lost <= 1 + 1e-12):
        raise ValueError(
            f"the shares of prompts gained and lost are fractions that sum to 1 at most, not {gained} and {lost}"
        )
