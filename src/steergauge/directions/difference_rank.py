"""How many directions the difference of two classes needs, against chance (the study's hypothesis 1, fragmentation).

Two classes have two means, and so one difference: once it is taken out, no linear probe does better than a constant
(Belrose et al. 2023, LEACE). A second direction can only lie in how the *pairs* differ from each other:
one kind of harmful prompt parts from its harmless counterpart along one axis, another kind along another. So what is
counted here are the axes of the paired differences δ_i = x_i⁺ − x_i⁻, uncentred, since centring them takes out
the mean difference that is sought.

**Chance, the first direction.** Without a class difference the labels of a pair are exchangeable, so the squared length of
mean δ is compared with those after turning δ_i into −δ_i at random (Fisher's randomisation test; all 2ⁿ where these are few).

**Chance, further ones.** Any n differences in a wide stream fill n dimensions, by topic and noise, and random labels do not show
how many of these are chance: they leave every singular value as it is. The baseline is what prompts of the *negative* class
differ by, b_i = √(2n/(n−1))·(x_i⁻ − μ⁻): as long, on average, as the difference of two such prompts, and free of the
behaviour. (Not of the positive class, whose kinds are what is asked about.) With the first k−1 axes of the δ taken out of
both, the k-th test asks whether the δ_i are still longer than the b_i: the mean of ‖δ_i‖² − ‖b_i‖² is compared with those
after swapping δ_i and b_i at random (Pitman's test). Tests end at the first that does not reject, so the chance
of any false count is at most the level.

**What n pairs can show.** The rank is at most n. The smallest p of the first test is 2¹⁻ⁿ, since all labels swapped are
as far apart: fewer than six pairs, such as the study's five, never show a direction at 5%. What only m of the pairs differ
in beyond the other axes has a p of about 2⁻ᵐ. A count of 1 says "no second one shown", never "there is only one".

**What it assumes.** Without the behaviour the classes would vary alike. Positive prompts of a wider range of topics,
or longer readings, count as further directions. Pairs matched in topic differ by less than the b_i, which hides weak
further directions and makes none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import permutation_test

from steergauge.directions.axes import Points, float32_noise, require_pairs, require_readings
from steergauge.directions.spectrum import Array, Spectrum, spectrum
from steergauge.errors import SteergaugeError

LEVEL = 0.05
"""A direction counts while its p value is at most this."""

SWAPS = 9_999


class DirectionTest(NamedTuple):
    """Whether the k-th axis is needed beyond chance.

    Attributes:
        number: k, from 1.
        explained: the share of the differences' squared length along the k-th axis.
        left: the share that was left when the first k−1 were taken out.
        p_value: of what was left, against the baseline with the same axes taken out.
    """

    number: int
    explained: float
    left: float
    p_value: float


@dataclass(frozen=True, eq=False)
class DifferenceRank:
    """The paired differences at one block, and how many of their axes chance does not explain.

    Attributes:
        differences: of the δ_i, uncentred: the class difference with what the pairs differ in.
        centred: of δ_i − mean δ: what the pairs differ in alone.
        baseline: of the b_i; its rank is one less than the number of pairs.
        tests: in order, to the first that does not reject.
    """

    differences: Spectrum
    centred: Spectrum
    baseline: Spectrum
    tests: tuple[DirectionTest, ...]

    @property
    def pairs(self) -> int:
        """How many pairs there are, which the rank cannot pass."""
        return self.differences.rows

    @property
    def beyond_chance(self) -> int:
        """How many directions the difference needs, at least, at the level of 5%."""
        rejected = [test.p_value <= LEVEL for test in self.tests]
        return rejected.index(False) if False in rejected else len(rejected)


def difference_rank(positive: Points, negative: Points, generator: np.random.Generator) -> DifferenceRank:
    """Counts the directions at one block.

    Args:
        positive: readings of the positive prompts at one block, (prompts, width).
        negative: of their counterparts, in the same order.
        generator: of the swaps, where there are too many to try all.

    Raises:
        SteergaugeError: there are fewer than two pairs, the classes are not pairs, or a number is not finite.
    """
    require_difference_pairs("rank", positive[:, None], negative[:, None])
    differences, baseline = positive - negative, baseline_differences(negative)
    return DifferenceRank(
        differences=spectrum(differences),
        centred=spectrum(differences - differences.mean(axis=0)),
        baseline=spectrum(baseline),
        tests=tuple(_tests(differences, baseline, float32_noise(positive, negative), generator)),
    )


def require_difference_pairs(
    name: str, positive: NDArray[np.floating], negative: NDArray[np.floating]
) -> None:
    """Refuses readings, (prompts, blocks, width), that are not two pairs or more.

    Raises:
        SteergaugeError: saying what is wrong.
    """
    require_readings(name, positive, negative)
    require_pairs(name, positive, negative)
    if len(positive) < 2:
        raise SteergaugeError(f"{name}: one pair has one difference and no rank; give two pairs at least")


def baseline_differences(negative: Points) -> Points:
    """The b_i: as many differences as pairs, with twice the variance within the negative class, (prompts, width)."""
    prompts = len(negative)
    baseline: Points = np.sqrt(2 * prompts / (prompts - 1)) * (negative - negative.mean(axis=0))
    return baseline


def _tests(
    differences: Points, baseline: Points, noise: float, generator: np.random.Generator
) -> list[DirectionTest]:
    _, lengths, axes = np.linalg.svd(differences, full_matrices=False)
    total = float(np.sum(lengths**2))
    tests: list[DirectionTest] = []
    for taken, length in enumerate(lengths):
        own, others = (_squares_beyond(rows, axes[:taken]) for rows in (differences, baseline))
        if own.mean() <= noise**2:  # rounding has no direction
            p_value = 1.0
        elif taken == 0:
            p_value = _p_of_the_mean(differences, generator)
        else:
            p_value = _p_beyond(own, others, generator)
        shares = (length**2 / total, own.sum() / total) if total > 0 else (0.0, 0.0)
        tests.append(DirectionTest(taken + 1, float(shares[0]), float(shares[1]), p_value))
        if p_value > LEVEL:
            break
    return tests


def _squares_beyond(rows: Points, axes: Points) -> Array:
    """The squared length of each row with some axes taken out, (rows,)."""
    squares: Array = np.sum((rows - rows @ axes.T @ axes) ** 2, axis=1)
    return squares


def _p_of_the_mean(differences: Points, generator: np.random.Generator) -> float:
    products = differences @ differences.T  # of which ‖Σ s_i δ_i‖² is made for all signs s

    def length(signs: Array, _: Array, axis: int) -> Array:
        signs = np.moveaxis(signs, axis, -1)
        return np.asarray(((signs @ products) * signs).sum(axis=-1))

    as_labelled = np.ones(len(differences))
    return _p_value(as_labelled, -as_labelled, length, generator)


def _p_beyond(own: Array, others: Array, generator: np.random.Generator) -> float:
    def longer(first: Array, second: Array, axis: int) -> Array:
        return np.asarray((first - second).mean(axis=axis))

    return _p_value(own, others, longer, generator)


def _p_value(
    own: Array, others: Array, statistic: Callable[..., Array], generator: np.random.Generator
) -> float:
    """Of the statistic, against its values with the two swapped at random, place by place."""
    found = permutation_test(
        (own, others),
        statistic,
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=SWAPS,
        rng=generator,
    )
    return float(found.pvalue)
