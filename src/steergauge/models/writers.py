"""The modules that write to the residual stream: found by structure, and verified on a forward pass."""

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor, nn

from steergauge.errors import SteergaugeError
from steergauge.models.blocks import Blocks
from steergauge.models.calls import Call, record_calls


class Writers(NamedTuple):
    """The two modules of a block whose outputs it adds to the stream: r_k = p_k + attention + mlp.

    Where the family normalises what it adds (Gemma 2 and 3), these are the norms; where attention and MLP add the
    stream themselves (Bloom), their last projections.
    """

    attention: nn.Module
    mlp: nn.Module


def find_writers(model: nn.Module, blocks: Blocks, input_ids: Tensor) -> tuple[Writers, ...]:
    """The writers of every block.

    One forward pass over `input_ids` (1, tokens) proves them: the sum of the stream that enters the block and of
    what both return is the stream that leaves it, to the last bit.

    Raises:
        SteergaugeError: a block adds something else, or scales what it adds.
    """
    calls = record_calls(model, input_ids)
    return tuple(
        _writers(block, calls, f"block {index} of {type(model).__name__}")
        for index, block in enumerate(blocks.modules)
    )


def _writers(block: nn.Module, calls: Mapping[nn.Module, Call], where: str) -> Writers:
    entered, left = calls[block].entered, calls[block].output  # p_k and r_k, (1, tokens, width)
    # Outer modules come before those inside them, attention before the MLP.
    written = [
        (module, calls[module].output.reshape(entered.shape))  # OPT's MLP has no batch dimension
        for module in block.modules()
        if module is not block and module in calls and _could_be_added(calls[module], entered)
    ]
    for (one, ours), (other, theirs) in combinations(written, 2):
        one_by_one, together = (entered + ours) + theirs, entered + (ours + theirs)
        if torch.equal(one_by_one, left) or torch.equal(together, left):
            return Writers(one, other)
    raise SteergaugeError(
        f"{where} has no two modules whose outputs it adds to the stream, so nothing can be ablated from what it "
        "writes: use the affine intervention"
    )


def _could_be_added(call: Call, stream: Tensor) -> bool:
    return (
        call.times == 1
        and call.output.shape[-1] == stream.shape[-1]
        and call.output.numel() == stream.numel()
    )
