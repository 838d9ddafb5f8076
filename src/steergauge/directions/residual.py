"""Whether the classes still part once a behaviour's first directions are taken out (the study's hypothesis 1).

Each pair is held out in turn. The directions are fitted on the other pairs, one after the other; the (k+1)-th is fitted
where the first k are taken out, and the held-out pair is on the right side where its positive prompt lies
further along it than its negative one. Classes that do not differ give one half, without a bias: the pair has no part in
the fit. A single direction that few pairs give badly leaves a little of itself behind, so that slightly more
than half at k = 1 is no second one (`sequence` has figures). The share is an AUC of the two classes in which prompts are only compared within their pair, since scores
of different fits have no common zero.

The right sides of n pairs are n observations at most, and their fits share prompts: give the share the interval of
n prompts and no narrower one. Five of five has p = 1/32 by chance.
"""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from steergauge.directions.difference_rank import require_difference_pairs
from steergauge.directions.sequence import Readings, each_direction, orthogonal_sequence
from steergauge.directions.spectrum import Array
from steergauge.errors import SteergaugeError


@dataclass(frozen=True, eq=False)
class ResidualSeparation:
    """Held-out pairs along the direction that is fitted once the first ones are taken out.

    Attributes:
        removed: k, how many directions were taken out.
        pairs: how many were held out, each once.
        right: how many of them lie on the right side, (blocks,); half for one on neither.
        separations: the mean of ⟨δ, û⟩ over the held-out pairs, (blocks,), in units of the stream.
        degenerate: pairs without a direction, since nothing was left to fit: on neither side, 0 apart.
    """

    removed: int
    pairs: int
    right: Array
    separations: Array
    degenerate: int

    @property
    def auc(self) -> Array:
        """The share on the right side, (blocks,); ½ is chance."""
        share: Array = self.right / self.pairs
        return share


def residual_separation(positive: Readings, negative: Readings, count: int) -> tuple[ResidualSeparation, ...]:
    """Measures it with 0, 1, … `count` − 1 directions of the sequence taken out.

    Args:
        positive: readings of the positive prompts at their last token, (prompts, blocks, width).
        negative: the same for their counterparts, in the same order.
        count: how many directions are fitted.

    Raises:
        SteergaugeError: the classes are not pairs, or fewer than two, or all together have no first direction.
    """
    require_difference_pairs("residual", positive, negative)
    orthogonal_sequence(positive, negative, min(count, 1))  # what is wrong with the whole set is an error
    pairs, blocks, _ = positive.shape
    along = np.zeros((count, pairs, blocks))
    degenerate = np.full(count, pairs)
    differences = positive.astype(np.float64) - negative
    for held_out in range(pairs):
        others = np.arange(pairs) != held_out
        fitted = each_direction(positive[others], negative[others], count)
        with suppress(SteergaugeError):  # nothing is left in this fold: counted
            for removed, direction in enumerate(fitted):
                along[removed, held_out] = np.sum(differences[held_out] * direction.vectors, axis=1)
                degenerate[removed] -= 1
    return tuple(
        ResidualSeparation(
            removed=removed,
            pairs=pairs,
            right=(np.sign(each) / 2 + 0.5).sum(axis=0),
            separations=each.mean(axis=0),
            degenerate=int(degenerate[removed]),
        )
        for removed, each in enumerate(along)
    )
