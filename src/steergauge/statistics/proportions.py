"""How sure a rate is: an interval for one proportion."""

from typing import NamedTuple

from statsmodels.stats.proportion import proportion_confint


class Interval(NamedTuple):
    """The ends of a confidence interval, as fractions of one."""

    low: float
    high: float


def wilson_interval(count: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for `count` successes among `n` independent observations.

    The observations must be distinct prompts: `distinct_prompts` in `comparisons.py` is what counts them.
    With no observations nothing is known, and the interval is all of (0, 1). Source: Wilson 1927, Journal of
    the American Statistical Association 22:209; the paper uses it for its "95% CI".

    Raises:
        ValueError: `count` is not within 0 … `n`, or `confidence` is not between 0 and 1.
    """
    return _interval(count, n, confidence, "wilson")


def clopper_pearson_interval(count: int, n: int, confidence: float = 0.95) -> Interval:
    """The exact interval for `count` successes among `n` independent observations: never below its confidence.

    It is wider than Wilson's, which keeps its confidence on average only. The observations must be distinct
    prompts, as for `wilson_interval`. Source: Clopper and Pearson 1934, Biometrika 26:404.

    Raises:
        ValueError: `count` is not within 0 … `n`, or `confidence` is not between 0 and 1.
    """
    return _interval(count, n, confidence, "beta")


def _interval(count: int, n: int, confidence: float, method: str) -> Interval:
    require_counts(count, n)
    if not 0 < confidence < 1:
        raise ValueError(f"the confidence is a fraction between 0 and 1, not {confidence}")
    if n == 0:
        return Interval(0.0, 1.0)
    low, high = proportion_confint(count, n, alpha=1 - confidence, method=method)
    # Rounding may leave an end at 1e-17 or 1 - 1e-16 where the formula gives 0 or 1.
    return Interval(0.0 if count == 0 else float(low), 1.0 if count == n else float(high))


def require_counts(count: int, n: int) -> None:
    """Refuses what cannot be `count` successes among `n` observations.

    Raises:
        ValueError: `count` is not within 0 … `n`.
    """
    if not 0 <= count <= n:
        raise ValueError(f"{count} successes among {n} observations: the count must be within 0 … n")
