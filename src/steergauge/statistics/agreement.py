"""How far two readings of the same outputs agree, and what a judge's error does to a rate."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm

from steergauge.statistics.proportions import Interval, wilson_interval

_RESAMPLES = 1000


class Estimate(NamedTuple):
    """A number with its 95% interval; NaN where it is undefined."""

    value: float
    low: float
    high: float


class ClassAgreement(NamedTuple):
    """How a reading finds one class of another reading that is taken as true."""

    found: int  # of the class in both
    said: int  # of the class in the reading
    true: int  # of the class in truth
    precision: Estimate
    recall: Estimate


class Agreement(NamedTuple):
    """A reading of n items against another one."""

    n: int
    kappa: Estimate
    accuracy: Estimate
    classes: dict[str, ClassAgreement]
    confusion: dict[str, dict[str, int]]  # truth → reading → count


def compare_readings(
    truth: Sequence[str], reading: Sequence[str], classes: Sequence[str], seed: int = 0
) -> Agreement:
    """Compares two readings of the same items, given in the same order.

    Cohen's κ is agreement beyond chance: 1 is perfect, 0 is what two readers with these shares of classes
    reach by lot. It is undefined where both readings know one class only. Its interval is the percentile
    bootstrap over items. Precision, recall and accuracy have Wilson's intervals. Items are assumed
    independent: near-duplicates make every interval too narrow.

    Raises:
        ValueError: the readings differ in length, are empty, or hold a class that is not listed.
    """
    if len(truth) != len(reading) or not truth:
        raise ValueError(f"{len(truth)} and {len(reading)} labels: two readings of the same items are needed")
    unlisted = (set(truth) | set(reading)) - set(classes)
    if unlisted:
        raise ValueError(f"not among the classes: {', '.join(sorted(unlisted))}")
    counts = Counter(zip(truth, reading, strict=True))
    table = np.array([[counts[true, said] for said in classes] for true in classes])
    right = int(np.trace(table))
    return Agreement(
        n=len(truth),
        kappa=_bootstrapped_kappa(table, seed),
        accuracy=_share(right, len(truth)),
        classes={
            name: ClassAgreement(
                found=int(table[at, at]),
                said=int(table[:, at].sum()),
                true=int(table[at].sum()),
                precision=_share(int(table[at, at]), int(table[:, at].sum())),
                recall=_share(int(table[at, at]), int(table[at].sum())),
            )
            for at, name in enumerate(classes)
        },
        confusion={true: {said: counts[true, said] for said in classes} for true in classes},
    )


def krippendorff_alpha(units: Sequence[Sequence[str]], seed: int = 0) -> Estimate:
    """Krippendorff's α for nominal labels: agreement beyond chance among any number of readers.

    Each unit lists the labels that it was given; units with fewer than two say nothing about agreement and
    are left out, so readers need not have read the same items. 1 is perfect agreement, 0 what chance gives.
    Undefined (NaN) when all labels are of one class: where nothing varies, agreement cannot be told from
    habit. The interval is the percentile bootstrap over units. Source: Krippendorff 2011, Computing
    Krippendorff's alpha-reliability. statsmodels has Fleiss' κ only, which needs equally many labels a unit.
    """
    classes = sorted({label for unit in units for label in unit})
    rows = [Counter(unit) for unit in units if len(unit) >= 2]
    table = np.array([[row[name] for name in classes] for row in rows], dtype=float).reshape(
        len(rows), len(classes)
    )
    generator = np.random.default_rng(seed)
    resampled = [_alpha(table[generator.integers(len(table), size=len(table))]) for _ in range(_RESAMPLES)]
    return _estimate(_alpha(table), resampled)


def corrected_rate(
    count: float, n: int, sensitivity: tuple[int, int], specificity: tuple[int, int]
) -> Estimate:
    """The true rate behind a judge's rate, given the judge's measured error (Rogan and Gladen 1978).

    The judge said so in `count` of `n` outputs. The interval also carries that its error was itself measured
    on few outputs, by Lang and Reiczigel's method (2014, Preventive Veterinary Medicine 113:13). It assumes
    that the judge errs on these outputs as it did on those; NaN where the judge is no better than a lot.

    Args:
        count: outputs that the judge puts into the class; of prompts with several outputs, the sum of their shares.
        n: outputs judged; of prompts with several outputs, the prompts.
        sensitivity: (found, all) of the class on labelled outputs.
        specificity: (left out, all) of what is not of the class.

    Raises:
        ValueError: a count is not within 0 … its total, or a total is 0.
    """
    for part, whole in ((count, n), sensitivity, specificity):
        if not 0 <= part <= whole or whole == 0:
            raise ValueError(f"{part} of {whole}: the count must be within 0 … n, and n above 0")
    gain = sensitivity[0] / sensitivity[1] + specificity[0] / specificity[1] - 1
    if gain <= 0:
        return Estimate(math.nan, math.nan, math.nan)
    value = (count / n + specificity[0] / specificity[1] - 1) / gain
    low, high = _lang_reiczigel(count, n, sensitivity, specificity)
    return Estimate(min(max(value, 0.0), 1.0), low, high)


def _lang_reiczigel(
    count: float, n: int, sensitivity: tuple[int, int], specificity: tuple[int, int]
) -> Interval:
    z = float(norm.ppf(0.975))
    rows, apparent = n + z**2, (count + z**2 / 2) / (n + z**2)
    of_class, found = sensitivity[1] + 2, (sensitivity[0] + 1) / (sensitivity[1] + 2)
    of_others, left_out = specificity[1] + 2, (specificity[0] + 1) / (specificity[1] + 2)
    gain = found + left_out - 1
    if gain <= 0:
        return Interval(0.0, 1.0)
    rate = (apparent + left_out - 1) / gain
    found_variance = found * (1 - found) / of_class
    left_out_variance = left_out * (1 - left_out) / of_others
    shift = 2 * z**2 * (rate * found_variance - (1 - rate) * left_out_variance)
    variance = (
        apparent * (1 - apparent) / rows + rate**2 * found_variance + (1 - rate) ** 2 * left_out_variance
    ) / gain**2
    low, high = rate + shift - z * math.sqrt(variance), rate + shift + z * math.sqrt(variance)
    return Interval(min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0))


def _alpha(table: "np.ndarray[Any, Any]") -> float:
    """Krippendorff's α of a table of label counts, (units, classes)."""
    sizes = table.sum(axis=1)  # (units,)
    totals = table.sum(axis=0)  # (classes,)
    n = totals.sum()
    expected = n**2 - (totals**2).sum()
    if n == 0 or expected == 0:
        return math.nan
    observed = ((sizes**2 - (table**2).sum(axis=1)) / (sizes - 1)).sum()
    return float(1 - (n - 1) * observed / expected)


def _kappa(tables: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Cohen's κ of tables of counts (…, truth, reading). statsmodels' takes one table, 0.3 ms each."""
    n = tables.sum(axis=(-2, -1))
    observed = np.trace(tables, axis1=-2, axis2=-1) / n
    expected = (tables.sum(axis=-1) * tables.sum(axis=-2)).sum(axis=-1) / n**2
    with np.errstate(invalid="ignore"):
        kappa: np.ndarray[Any, Any] = (observed - expected) / (1 - expected)
    return kappa


def _bootstrapped_kappa(table: "np.ndarray[Any, Any]", seed: int) -> Estimate:
    """Resampling items is resampling the cells of their table."""
    n = int(table.sum())
    cells = np.random.default_rng(seed).multinomial(n, table.ravel() / n, size=_RESAMPLES)
    return _estimate(float(_kappa(table)), _kappa(cells.reshape(-1, *table.shape)).tolist())


def _estimate(value: float, resampled: Sequence[float]) -> Estimate:
    kept = [one for one in resampled if not math.isnan(one)]
    if math.isnan(value) or not kept:
        return Estimate(math.nan, math.nan, math.nan)
    low, high = np.quantile(kept, [0.025, 0.975])
    return Estimate(value, float(low), float(high))


def _share(count: int, n: int) -> Estimate:
    low, high = wilson_interval(count, n)
    return Estimate(count / n if n else math.nan, low, high)
