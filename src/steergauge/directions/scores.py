"""What a selection scores candidates by: pure functions of readings, in double precision (methods.md §2, §3)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

Array = NDArray[np.float64]

_KL_EPSILON = 1e-6
_REFUSAL_EPSILON = 1e-8


def cosine(one: Array, other: Array) -> float:
    """Of two vectors; not a number where one is zero."""
    with np.errstate(invalid="ignore"):
        return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def pooled_cosine(hidden: Array, others: Array) -> float:
    """COSMIC's: the cosine of two means, each over prompts and layers together.

    Args:
        hidden: (prompts, layers, width).
        others: the same of other prompts, or of another intervention.
    """
    return cosine(hidden.mean(axis=(0, 1)), others.mean(axis=(0, 1)))


def paired_cosine(hidden: Array, others: Array) -> float:
    """The study's: the mean over pairs of the i-th prompts' cosine at each layer, then over layers.

    Shapes as in `pooled_cosine`, with as many prompts in both.
    """
    return float(np.mean(paired_cosines(hidden, others)))


def paired_cosines(hidden: Array, others: Array) -> Array:
    """The mean over pairs of the i-th prompts' cosine, (layers,)."""
    units, other_units = (each / np.linalg.norm(each, axis=-1, keepdims=True) for each in (hidden, others))
    cosines: Array = np.einsum("plw,plw->l", units, other_units) / len(hidden)
    return cosines


def kl_divergence(unmodified: NDArray[np.float32], modified: NDArray[np.float32]) -> float:
    """Mean over prompts of Σ_v p·ln(p/q), with 10⁻⁶ added to both inside the logarithm.

    Args:
        unmodified: logits whose softmax is p, (prompts, vocabulary).
        modified: logits whose softmax is q.
    """
    p, q = (softmax(logits.astype(np.float64), axis=-1) for logits in (unmodified, modified))
    return float(np.mean(np.sum(p * (np.log(p + _KL_EPSILON) - np.log(q + _KL_EPSILON)), axis=-1)))


def refusal_scores(logits: NDArray[np.float32], tokens: Sequence[int]) -> Array:
    """Arditi et al.'s: ln(P + 10⁻⁸) − ln(1 − P + 10⁻⁸), P the probability of these as the next token, (prompts,)."""
    opening = np.exp(log_softmax(logits.astype(np.float64), axis=-1)[:, list(tokens)]).sum(axis=-1)
    scores: Array = np.log(opening + _REFUSAL_EPSILON) - np.log(1 - opening + _REFUSAL_EPSILON)
    return scores
