"""Where a decoder's residual stream is: found by structure, and verified on a forward pass."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from steergauge.errors import SteergaugeError
from steergauge.models.calls import Call, record_calls, same

BlockOutput: TypeAlias = Tensor | tuple[Any, ...]


@dataclass(frozen=True)
class Blocks:
    """The decoder layers in order, and the norm that the last one's output goes through.

    The stream after block k is r_k; the stream that enters it is p_k = r_{k−1} (methods.md §0).
    """

    path: str
    modules: tuple[nn.Module, ...]
    final_norm: nn.Module
    width: int

    def __len__(self) -> int:
        return len(self.modules)


def stream_of(output: BlockOutput) -> Tensor:
    """The residual stream (batch, tokens, width) in what a block returns: a tensor, or a tuple's first."""
    return output if isinstance(output, Tensor) else output[0]


def with_stream(output: BlockOutput, stream: Tensor) -> BlockOutput:
    """What a block returned, with another residual stream in it."""
    return stream if isinstance(output, Tensor) else (stream, *output[1:])


@contextmanager
def reading(modules: Sequence[nn.Module], read: Callable[[int, Tensor], None]) -> Iterator[None]:
    """Calls `read(k, r_k)` with each block's stream (batch, tokens, width) while the context is open."""

    def hook(index: int) -> Callable[..., None]:
        def told(_module: nn.Module, _inputs: Any, output: BlockOutput) -> None:
            read(index, stream_of(output))  # what a hook returns would take the place of the output

        return told

    with removed_at_the_end(
        [module.register_forward_hook(hook(index)) for index, module in enumerate(modules)]
    ):
        yield


@contextmanager
def entering(modules: Sequence[nn.Module], change: Callable[[int, Tensor], Tensor]) -> Iterator[None]:
    """Gives each module k `change(k, stream)` in place of the stream that enters it while the context is open."""

    def hook(index: int) -> Callable[..., Any]:
        def changed(_module: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
            if inputs:
                return (change(index, inputs[0]), *inputs[1:]), keywords
            return inputs, keywords | {"hidden_states": change(index, keywords["hidden_states"])}

        return changed

    with removed_at_the_end(
        [
            module.register_forward_pre_hook(hook(index), with_kwargs=True)
            for index, module in enumerate(modules)
        ]
    ):
        yield


@contextmanager
def leaving(modules: Sequence[nn.Module], change: Callable[[int, Tensor], Tensor]) -> Iterator[None]:
    """Puts `change(k, stream)` in place of the stream that each module k returns while the context is open."""

    def hook(index: int) -> Callable[..., BlockOutput]:
        return lambda _module, _inputs, output: with_stream(output, change(index, stream_of(output)))

    with removed_at_the_end(
        [module.register_forward_hook(hook(index)) for index, module in enumerate(modules)]
    ):
        yield


@contextmanager
def removed_at_the_end(hooks: Sequence[RemovableHandle]) -> Iterator[None]:
    """Hooks that stay on while the context is open."""
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def find_blocks(model: nn.Module, input_ids: Tensor) -> Blocks:
    """Finds the module list whose entries run one after another on the residual stream.

    One forward pass over `input_ids` (1, tokens) proves the identities of methods.md §0: each block is called
    once, in order; p_{k+1} is r_k; and the model's output head reads final_norm(r_{N−1}).

    Raises:
        SteergaugeError: no module list does that.
    """
    calls = record_calls(model, input_ids)
    chains = [
        (path, list(children))
        for path, children in model.named_modules()
        if isinstance(children, nn.ModuleList) and _is_chain(list(children), calls)
    ]
    name = type(model).__name__
    if not chains:
        raise SteergaugeError(
            f"{name}: no module list passes one residual stream from block to block, so it cannot be steered"
        )
    path, modules = max(chains, key=lambda chain: len(chain[1]))
    last = calls[modules[-1]].output
    final_norm = _final_norm(model, modules, last, calls)
    if final_norm is None:
        raise SteergaugeError(
            f"{name}: nothing normalises the output of the last block of {path} before the output head, "
            "so the residual stream is not where it should be"
        )
    return Blocks(path=path, modules=tuple(modules), final_norm=final_norm, width=last.shape[-1])


def entering_norms(model: nn.Module, blocks: Blocks, input_ids: Tensor) -> list[nn.Module] | None:
    """Each block's own norm of p_k, the stream that enters it; None where a block has none (OLMo 2).

    Found on one forward pass over `input_ids` (1, tokens): the first module of the block that takes p_k, keeps its
    shape and has no matrix.
    """
    calls = record_calls(model, input_ids)
    norms = []
    for block in blocks.modules:
        entered = calls[block].entered
        found = [
            module
            for module in block.modules()
            if module in calls
            and not any(module.children())
            and all(weight.ndim == 1 for weight in module.parameters())
            and same(calls[module].entered, entered)
            and calls[module].output.shape == entered.shape
            and not same(calls[module].output, entered)  # dropout, when nothing is dropped
        ]
        if not found:
            return None
        norms.append(min(found, key=lambda module: calls[module].order))
    return norms


def _is_chain(modules: list[nn.Module], calls: Mapping[nn.Module, Call]) -> bool:
    if len(modules) < 2 or any(module not in calls or calls[module].times != 1 for module in modules):
        return False
    return all(same(calls[one].output, calls[next_].entered) for one, next_ in pairwise(modules))


def _final_norm(
    model: nn.Module, modules: list[nn.Module], last: Tensor, calls: Mapping[nn.Module, Call]
) -> nn.Module | None:
    """The module outside the blocks that takes r_{N−1} and gives what the output head reads."""
    inside = {child for module in modules for child in module.modules()}
    head = model.get_output_embeddings()  # type: ignore[operator]
    read_by_head = calls[head].entered if head in calls else None
    for module, call in calls.items():
        if module in inside or any(module.children()) or not same(call.entered, last):
            continue
        if read_by_head is None or same(call.output, read_by_head):
            return module
    return None
