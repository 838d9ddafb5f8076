"""How many dimensions a set of rows fills: its singular values, and the effective ranks read from them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """What n rows hold along each of their principal axes, uncentred unless they were centred before.

    With p_j = λ_j / Σλ the shares of the variances λ_j = s_j², s_j the singular values, the three effective ranks are
    Hill numbers of orders 1, 2 and ∞: each is k where k axes hold equal shares and the others nothing, and

        1 ≤ stable rank ≤ participation ratio ≤ entropy rank ≤ number of positive λ_j ≤ min(n, width).

    So none says more than n rows can: noise alone in a wide stream gives nearly n.

    Attributes:
        singular_values: s_j, largest first, (min(n, width),).
        rows: n.
        width: of the stream.
    """

    singular_values: Array
    rows: int
    width: int

    @property
    def shares(self) -> Array:
        """p_j, the share of all squared length that lies along each axis, (min(n, width),); 0 where all rows are 0."""
        variances = self.singular_values**2
        total = variances.sum()
        shares: Array = variances / total if total > 0 else variances
        return shares

    def explained(self, axes: int) -> float:
        """The share of all squared length that the first axes hold."""
        return float(self.shares[:axes].sum())

    @property
    def stable_rank(self) -> float:
        """Σλ / λ_1, the reciprocal of what the first axis explains."""
        return float(hill_numbers(self.shares).stable)

    @property
    def participation_ratio(self) -> float:
        """(Σλ)² / Σλ²."""
        return float(hill_numbers(self.shares).participation)

    @property
    def entropy_rank(self) -> float:
        """exp(−Σ p ln p). Roy and Vetterli (2007) take shares of s_j instead of s_j², which weighs noise more."""
        return float(hill_numbers(self.shares).entropy)


@dataclass(frozen=True, eq=False)
class HillNumbers:
    """Effective ranks of one set of shares or of many, (…,); 0 where there is no length to share."""

    entropy: Array
    participation: Array
    stable: Array


def spectrum(rows: Array) -> Spectrum:
    """That of rows, (n, width), as they are."""
    singular_values = np.linalg.svd(rows, compute_uv=False).astype(np.float64)
    count, width = rows.shape
    return Spectrum(singular_values, count, width)


def hill_numbers(shares: Array) -> HillNumbers:
    """Effective ranks from shares of variance, (…, axes)."""
    some = shares.sum(axis=-1) > 0
    logarithms = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    largest, squares = shares.max(axis=-1), (shares**2).sum(axis=-1)
    return HillNumbers(
        entropy=np.where(some, np.exp(-(shares * logarithms).sum(axis=-1)), 0.0),
        participation=np.divide(1.0, squares, out=np.zeros_like(squares), where=some),
        stable=np.divide(1.0, largest, out=np.zeros_like(largest), where=some),
    )
