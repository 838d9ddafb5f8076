"""Sampling by inversion: one uniform number a token, which no other row of the batch has a part in."""

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steergauge.models.loading import Model
from steergauge.steering.engine import Request, Sampling


class Draws:
    """What the rows of a batch draw; rows that decode greedily draw nothing.

    Args:
        requests: the rows, those that decode greedily among them.
        model: renders their prompts.
    """

    def __init__(self, requests: Sequence[Request], model: Model) -> None:
        temperatures = np.zeros(len(requests))
        numbers = np.zeros((len(requests), max(one.decoding.max_new_tokens for one in requests)))
        for row, (prompt, decoding) in enumerate((one.prompt, one.decoding) for one in requests):
            if sampling := decoding.sampling:
                temperatures[row] = sampling.temperature
                tokens = decoding.max_new_tokens
                numbers[row, :tokens] = uniform_numbers(sampling, model.template.render(prompt), tokens)
        # Apple's graphics have no float64.
        self._device = "cpu" if model.device == "mps" else model.device
        self._temperatures = torch.from_numpy(temperatures).to(self._device)  # (requests,), 0 where greedy
        self._numbers = torch.from_numpy(numbers).to(self._device)  # (requests, tokens)

    def next_tokens(self, logits: Tensor, likeliest: Tensor, rows: Tensor, step: int) -> Tensor:
        """The likeliest tokens, with drawn ones in their place where a row samples.

        Args:
            logits: of the next token, (rows, vocabulary).
            likeliest: their argmax, (rows,).
            rows: which requests these are, (rows,).
            step: how many tokens each has written.
        """
        rows = rows.to(self._device)
        temperatures = self._temperatures[rows]
        sampled = torch.nonzero(temperatures).flatten()
        drawn = invert(
            logits.to(self._device)[sampled], temperatures[sampled], self._numbers[rows[sampled], step]
        )
        return likeliest.index_copy(0, sampled.to(likeliest.device), drawn.to(likeliest.device))


def uniform_numbers(sampling: Sampling, rendered: str, tokens: int) -> NDArray[np.float64]:
    """One number in [0, 1) for each token, (tokens,); a longer text begins with those of a shorter one.

    From Philox, the counter-based generator of Salmon et al. 2011, keyed by what the draws depend on. numpy
    promises its raw output in all versions, and nothing about what is made of it.
    """
    drawn_for = json.dumps([sampling.seed, sampling.sample, rendered])
    key = int.from_bytes(hashlib.sha256(drawn_for.encode()).digest()[:16])
    raw = np.random.Philox(key=key).random_raw(tokens)
    return (raw >> np.uint64(11)) * 2.0**-53


def invert(logits: Tensor, temperatures: Tensor, numbers: Tensor) -> Tensor:
    """The first token at which the cumulative probability passes the number (Devroye 1986, section III.2).

    Args:
        logits: (rows, vocabulary); −inf is a token that cannot come.
        temperatures: (rows,), float64.
        numbers: (rows,), float64, each in [0, 1).

    Returns:
        Token ids, (rows,).
    """
    # In float64, where a sum over a hundred thousand tokens loses none, and in place: it is the batch's largest.
    weights = logits.to(torch.float64, copy=True)
    weights -= weights.amax(dim=-1, keepdim=True)  # before the division, which may overflow to −inf alone
    weights /= temperatures[:, None]
    cumulative = weights.exp_().cumsum_(dim=-1)
    passed = numbers[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, passed, right=True)[:, 0]
