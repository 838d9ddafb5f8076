"""Running part of a decoder: the blocks from one on, or those before one. The others are not computed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from steergauge.models.blocks import BlockOutput, entering, removed_at_the_end, with_stream


class Reached(Exception):  # noqa: N818 - nothing is wrong: it leaves a forward pass where no more of it is wanted
    """The block was reached at which a pass ends; `stream` is p_k, (batch, tokens, width)."""

    def __init__(self, stream: Tensor) -> None:
        super().__init__()
        self.stream = stream


@contextmanager
def ending_before(modules: Sequence[nn.Module], block: int) -> Iterator[None]:
    """Raises `Reached` where a forward pass comes to that block, while the context is open."""

    def reached(_index: int, stream: Tensor) -> Tensor:
        raise Reached(stream)

    with entering(modules[block : block + 1], reached):
        yield


@contextmanager
def beginning_at(
    modules: Sequence[nn.Module], block: int, stream: Tensor, outputs: Sequence[BlockOutput]
) -> Iterator[None]:
    """Has a forward pass enter that block with `stream`, the blocks before it unrun, while the context is open.

    Args:
        modules: the blocks.
        block: the first that runs.
        stream: p_k, (batch, tokens, width).
        outputs: what each block returns, for what stands in it beside the stream.
    """
    skipped = [(module, module.__dict__.get("forward")) for module in modules[:block]]
    try:
        for (module, _), output in zip(skipped, outputs[:block], strict=True):
            module.forward = _returning(with_stream(output, stream))
        yield
    finally:
        for module, own in skipped:
            if own is None:
                del module.forward  # the class's stands again
            else:
                module.forward = own


def _returning(output: BlockOutput) -> Any:
    return lambda *_inputs, **_keywords: output


def outputs_of(model: nn.Module, modules: Sequence[nn.Module], input_ids: Tensor) -> list[BlockOutput] | None:
    """What each block returns on these tokens, (1, tokens); None where blocks pass on more than the stream.

    That is so where a block reads keys and values of an earlier one. It is found by running the upper half alone.
    """
    outputs: list[BlockOutput] = []
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
        for module in modules
    ]

    def logits(ids: Tensor) -> Tensor:
        found: Tensor = model(input_ids=ids, use_cache=False).logits
        return found

    half = len(modules) // 2
    with torch.inference_mode(), removed_at_the_end(hooks):
        whole = logits(input_ids)
    try:
        with torch.inference_mode(), ending_before(modules, half):
            logits(input_ids)
    except Reached as reached:
        stream = reached.stream
    try:
        with torch.inference_mode():
            logits(input_ids.flip(-1))  # so that what blocks may remember is of another text
            with beginning_at(modules, half, stream, outputs):
                upper = logits(input_ids)
    except Exception:
        return None
    return outputs if torch.equal(whole, upper) else None
