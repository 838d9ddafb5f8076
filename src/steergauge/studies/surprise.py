"""How surprising an output is to the model that was not steered: a signal beside the labels, not one of them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from steergauge.models.loading import Model

WINDOW = 10
"""Tokens of the window that the worst stretch is looked for with."""

_ROWS = 4  # of a batch: the logits of every token are held, each as wide as the vocabulary


class Surprise(NamedTuple):
    """Negative log-likelihood per token, in nats."""

    mean: float  # over the whole output
    window: float  # the largest mean over ten tokens in a row; the mean, where there are not more


def measure_surprise(
    model: Model,
    prompts: Sequence[str],
    outputs: Sequence[Sequence[int]],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Surprise]:
    """Reads outputs with the unsteered model, after the prompts as it was shown them.

    Args:
        model: as it was measured; nothing may steer it now.
        prompts: one an output, not rendered.
        outputs: their tokens, that which ended an output included; none is empty.
        progress: is told how many outputs are read, and of how many.

    Returns:
        One an output, in their order.
    """
    found: dict[int, Surprise] = {}
    # Of about the same length together: little is padded, and few logits are held for nothing.
    order = sorted(range(len(outputs)), key=lambda place: len(outputs[place]))
    for start in range(0, len(order), _ROWS):
        some = order[start : start + _ROWS]
        nats = _nats(model, [prompts[place] for place in some], [outputs[place] for place in some])
        found |= {place: _summary(each) for place, each in zip(some, nats, strict=True)}
        progress(len(found), len(outputs))
    return [found[place] for place in range(len(outputs))]


@torch.inference_mode()
def _nats(model: Model, prompts: list[str], outputs: list[Sequence[int]]) -> list[list[float]]:
    """−ln p of each output's tokens, given all before them."""
    texts = [
        [*model.template.encode([prompt], "cpu")["input_ids"][0].tolist(), *output]
        for prompt, output in zip(prompts, outputs, strict=True)
    ]
    width, kept = max(map(len, texts)), max(map(len, outputs)) + 1
    padding = model.tokenizer.pad_token_id or 0
    ids = torch.tensor([[padding] * (width - len(text)) + text for text in texts], device=model.device)
    mask = torch.tensor([[0] * (width - len(text)) + [1] * len(text) for text in texts], device=model.device)
    arguments = model.arguments(ids, mask)
    if "logits_to_keep" in arguments:
        arguments["logits_to_keep"] = kept
    logits: Tensor = model.module(**arguments, use_cache=False).logits[
        :, -kept:-1
    ]  # (rows, kept − 1, vocabulary)
    read = []
    for row, row_ids, output in zip(logits, ids, outputs, strict=True):
        own = row[len(row) - len(output) :].float()
        said = row_ids[len(row_ids) - len(output) :, None]
        read.append((own.logsumexp(dim=-1) - own.gather(1, said)[:, 0]).tolist())
    return read


def _summary(nats: Sequence[float]) -> Surprise:
    width = min(WINDOW, len(nats))
    windows = np.convolve(nats, np.full(width, 1 / width), mode="valid")
    return Surprise(float(np.mean(nats)), float(windows.max()))
