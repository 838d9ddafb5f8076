"""What every capture backend does alike: prompts in batches, and the positions asked for out of the streams."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import BatchEncoding

from steergauge.models.loading import Model

# Fixed: in low precision a reading depends on its batch, and so must not depend on the memory at hand.
_BATCH = 16


def in_batches(prompts: Sequence[str]) -> Iterator[list[str]]:
    """The prompts, as many at a time as run together."""
    for start in range(0, len(prompts), _BATCH):
        yield list(prompts[start : start + _BATCH])


def encode_in_batches(model: Model, prompts: Sequence[str]) -> Iterator[BatchEncoding]:
    """The prompts in batches, padded on the left."""
    for some in in_batches(prompts):
        yield model.template.encode(some, model.device)


def pick(streams: Sequence[Tensor], positions: Sequence[int]) -> NDArray[np.float32]:
    """The given positions of each block's stream (prompts, tokens, width): (prompts, blocks, positions, width)."""
    # Prompts are padded on the left, so their ends are aligned.
    picked: NDArray[np.float32] = (
        torch.stack([stream[:, list(positions)].float() for stream in streams], dim=1).cpu().numpy()
    )
    return picked
