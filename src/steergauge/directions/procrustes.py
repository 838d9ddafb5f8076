"""A linear map from one model's stream to another's, of any two widths (Procrustes; Schönemann 1966).

Fitted on what both models read of the *same* prompts, x_i and y_i. With both centred and XᵀY = U·S·Vᵀ,

    y ≈ μ_y + c·(x − μ_x)·W        W = U·Vᵀ, (source width, target width)        c = ΣS / ‖X‖²

W keeps lengths and angles among the at most n − 1 source axes that the prompts span and S does not vanish on; all else it
takes to zero (any other choice there would be arbitrary). So of a unit direction û it keeps a share ‖û·W‖ ≤ 1.

**Which prompts.** Not those that the direction was extracted from, nor others of its two classes: their difference is
then the strongest axis in both streams, the map takes one to the other, and what comes out is the target's own direction in
disguise. Prompts that have nothing to do with the behaviour let the map fail.

**How good.** n prompts in wide streams can always be laid over each other: the fit on its own prompts is high for any
two models. Only the held-out R² tells, and there 0 is what the mean of the target's readings explains.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.axes import Points, float32_noise
from steergauge.errors import SteergaugeError

FOLDS = 10
"""In how many parts the prompts are held out, or one at a time where there are fewer."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ProcrustesMap:
    """A semi-orthogonal map W = U·Vᵀ with a scale, from one block's stream to another's.

    Attributes:
        source_axes: U, orthonormal columns, (source width, rank).
        target_axes: V, orthonormal columns, (target width, rank).
        scale: c.
        source_mean: μ_x, (source width,).
        target_mean: μ_y, (target width,).
    """

    source_axes: Array
    target_axes: Array
    scale: float
    source_mean: Array
    target_mean: Array

    @property
    def rank(self) -> int:
        """How many axes it carries; the source's other dimensions go to zero."""
        return len(self.source_axes.T)

    @property
    def matrix(self) -> Array:
        """W, (source width, target width), without the scale."""
        matrix: Array = self.source_axes @ self.target_axes.T
        return matrix

    def turn(self, vectors: Array) -> Array:
        """Vectors times W, without mean or scale: (…, source width) to (…, target width)."""
        turned: Array = vectors @ self.source_axes @ self.target_axes.T
        return turned

    def predict(self, readings: Points) -> Points:
        """What the target should read where the source reads this, (prompts, target width)."""
        predicted: Points = self.target_mean + self.scale * self.turn(readings - self.source_mean)
        return predicted


@dataclass(frozen=True, eq=False)
class MapFit:
    """A map and how well it predicts the target's readings.

    Attributes:
        map: fitted on all prompts.
        prompts: how many.
        folds: in how many parts they were held out, each once.
        fitted_r2: 1 − Σ‖y − ŷ‖² / Σ‖y − μ_y‖² on the prompts that the map was fitted on; high for any two models.
        held_out_r2: the same on prompts that it was not, with the mean of those that it was; below 0 where the map
            predicts worse than that mean.
    """

    map: ProcrustesMap
    prompts: int
    folds: int
    fitted_r2: float
    held_out_r2: float


def fit_procrustes(source: Points, target: Points) -> ProcrustesMap:
    """The map that takes the source's readings nearest to the target's.

    Args:
        source: one model's readings at one block, (prompts, source width).
        target: another's of the same prompts in the same order, (prompts, target width).

    Raises:
        SteergaugeError: the numbers of prompts differ or are below two, or the readings have nothing in common.
    """
    _require_shared(source, target, least=2)
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    # In coordinates of the axes that each side spans, XᵀY is small however wide the streams are.
    x, x_axes = _coordinates(source)
    y, y_axes = _coordinates(target)
    left, weights, right = np.linalg.svd(x.T @ y, full_matrices=False)
    kept = weights > len(source) * np.finfo(np.float64).eps * weights.max(initial=0.0)
    if not kept.any():
        raise SteergaugeError(
            "the shared prompts read alike in one of the models, or have nothing in common: no map can be fitted; "
            "give prompts that differ from each other"
        )
    return ProcrustesMap(
        source_axes=x_axes.T @ left[:, kept],
        target_axes=y_axes.T @ right[kept].T,
        scale=float(weights.sum() / np.sum(x**2)),
        source_mean=source_mean,
        target_mean=target_mean,
    )


def fit_with_held_out(source: Points, target: Points) -> MapFit:
    """The map from all prompts, with its R² on prompts held out in min(10, n) folds: the i-th in fold i modulo those.

    Args:
        source: one model's readings at one block, (prompts, source width).
        target: another's of the same prompts in the same order, (prompts, target width).

    Raises:
        SteergaugeError: as `fit_procrustes`, or there are fewer than three prompts.
    """
    _require_shared(source, target, least=3)
    prompts = len(source)
    folds = min(FOLDS, prompts)
    errors, spread = 0.0, 0.0
    for fold in range(folds):
        out = np.arange(prompts) % folds == fold
        fitted = fit_procrustes(source[~out], target[~out])
        errors += float(np.sum((target[out] - fitted.predict(source[out])) ** 2))
        spread += float(np.sum((target[out] - fitted.target_mean) ** 2))
    whole = fit_procrustes(source, target)
    left = np.sum((target - whole.predict(source)) ** 2) / np.sum((target - whole.target_mean) ** 2)
    return MapFit(
        map=whole,
        prompts=prompts,
        folds=folds,
        fitted_r2=float(1 - left),
        held_out_r2=1 - errors / spread,
    )


def _coordinates(readings: Points) -> tuple[Array, Array]:
    """Centred readings in the axes that they span beyond rounding, (prompts, rank), and those axes, (rank, width)."""
    sides, lengths, axes = np.linalg.svd(readings - readings.mean(axis=0), full_matrices=False)
    kept = lengths > float32_noise(readings, readings) * np.sqrt(len(readings))
    return sides[:, kept] * lengths[kept], axes[kept]


def _require_shared(source: Points, target: Points, least: int) -> None:
    if len(source) != len(target):
        raise SteergaugeError(
            f"a map needs the same prompts on both models, and there are {len(source)} readings of the source "
            f"and {len(target)} of the target"
        )
    if len(source) < least:
        raise SteergaugeError(f"a map needs at least {least} shared prompts, not {len(source)}")
    for name, readings in (("source", source), ("target", target)):
        if not np.isfinite(readings).all():
            raise SteergaugeError(
                f"a reading of the {name} is not finite; load the model in a wider precision"
            )
