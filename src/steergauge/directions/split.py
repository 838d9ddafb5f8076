"""Prompts to fit candidates on, and others to select among them with."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from steergauge.errors import SteergaugeError

Prompts = tuple[str, ...]


class Sizes(NamedTuple):
    """How many prompts of each class a source fits and selects with; of fewer, the same share is taken."""

    fit: int
    select: int


class ClassSplit(NamedTuple):
    """Disjoint prompts of both classes."""

    fit_positive: Prompts
    fit_negative: Prompts
    select_positive: Prompts
    select_negative: Prompts


def split_classes(positive: Sequence[str], negative: Sequence[str], sizes: Sizes, seed: int) -> ClassSplit:
    """Draws the fitting and the selecting prompts at random, at least one of each.

    Classes of one size are drawn in pairs: the i-th prompts of both go the same way.

    Raises:
        SteergaugeError: a class has fewer than two prompts.
    """
    if min(len(positive), len(negative)) < 2:
        raise SteergaugeError(
            f"there are {len(positive)} positive and {len(negative)} negative prompts: selecting a direction needs "
            "two of each at least, one to fit and another to select with"
        )
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(positive))
    other = order if len(negative) == len(positive) else generator.permutation(len(negative))
    fit_positive, select_positive = _divide([positive[index] for index in order], sizes)
    fit_negative, select_negative = _divide([negative[index] for index in other], sizes)
    return ClassSplit(fit_positive, fit_negative, select_positive, select_negative)


def _divide(prompts: Sequence[str], sizes: Sizes) -> tuple[Prompts, Prompts]:
    share = round(len(prompts) * sizes.fit / (sizes.fit + sizes.select))
    fitted = min(max(share, 1), len(prompts) - 1, sizes.fit)
    return tuple(prompts[:fitted]), tuple(prompts[fitted : fitted + sizes.select])
