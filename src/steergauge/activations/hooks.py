"""Capture with PyTorch forward hooks on the blocks: the reference backend."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steergauge.activations.activations import Activations
from steergauge.activations.batches import encode_in_batches, pick
from steergauge.models.blocks import reading
from steergauge.models.loading import Model


def capture(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
    """Reads r_k at `positions`, counted from each prompt's end, for every block in one pass.

    Returns:
        Activations of shape (prompts, blocks, positions, width).
    """
    batches = [pick(streams, positions) for streams, _ in _forward(model, prompts)]
    return Activations(np.concatenate(batches), tuple(positions))


class Baseline(NamedTuple):
    """A model's unsteered stream on benign prompts, which doses are measured against.

    Attributes:
        streams: r_k at the last token, (prompts, blocks, width).
        residual_norms: R_k, the median norm of r_k over the positions of the prompts, (blocks,).
    """

    streams: NDArray[np.float32]
    residual_norms: NDArray[np.float64]


def measure_baseline(model: Model, prompts: Sequence[str]) -> Baseline:
    """Reads the stream and its norms on unsteered benign prompts (methods.md §4).

    For the norms padding and BOS are left out, and so are massive-norm positions (attention sinks): those
    with more than ten times the block's median norm.
    """
    ends, norms = [], []
    for streams, encoding in _forward(model, prompts):
        counted = encoding["attention_mask"].bool()
        if model.tokenizer.bos_token_id is not None:
            counted &= encoding["input_ids"] != model.tokenizer.bos_token_id
        ends.append(pick(streams, (-1,))[:, :, 0])
        norms.append(torch.stack([stream.float().norm(dim=-1)[counted] for stream in streams]).cpu().numpy())
    each = np.concatenate(norms, axis=1).astype(np.float64)  # (blocks, tokens)
    massive = each > 10 * np.median(each, axis=1, keepdims=True)
    medians = [np.median(row[~out]) for row, out in zip(each, massive, strict=True)]
    return Baseline(np.concatenate(ends), np.array(medians))


def _forward(model: Model, prompts: Sequence[str]) -> Iterator[tuple[list[Tensor], dict[str, Tensor]]]:
    """Runs the prompts in batches; yields every block's stream (prompts, tokens, width) and the encoding."""
    for encoding in encode_in_batches(model, prompts):
        streams: dict[int, Tensor] = {}
        with torch.inference_mode(), reading(model.blocks.modules, streams.__setitem__):
            model.forward(encoding["input_ids"], encoding["attention_mask"])
        yield [streams[block] for block in range(len(model.blocks))], dict(encoding)
