"""Where a decoder's attention heads meet the residual stream: found by structure, verified on a forward pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from steergauge.errors import SteergaugeError
from steergauge.models.blocks import Blocks
from steergauge.models.calls import Call, record_calls, same


@dataclass(frozen=True)
class Heads:
    """The module of each block that takes its heads' outputs, side by side, to the stream (o_proj).

    Attributes:
        modules: one a block; its input is (rows, tokens, count × width).
        count: attention heads a block.
        width: coordinates of one head's output.
    """

    modules: tuple[nn.Module, ...]
    count: int
    width: int


def find_heads(model: nn.Module, blocks: Blocks, input_ids: Tensor) -> Heads:
    """Finds in every block the one module that the attention's output comes from.

    A forward pass over `input_ids` (1, tokens) proves it. The attention is what is given keys and values inside the
    block; what it returns is the output of the last module with a weight matrix that ran in it, alone or, as in Bloom,
    added to what the block or the attention was given.

    Raises:
        SteergaugeError: a block has none or several such modules, or its heads are not those of the configuration.
    """
    calls = record_calls(model, input_ids, use_cache=True)
    modules = []
    for index, block in enumerate(blocks.modules):
        found = _head_outputs(block, calls)
        if len(found) != 1:
            raise _cannot(
                model, f"{len(found)} modules of block {index} take attention heads to the stream, not one"
            )
        modules.append(found[0])
    count = _attention_heads(model)
    widths = {calls[module].entered.shape[-1] for module in modules}  # of all heads of a block
    if len(widths) != 1 or count is None or min(widths) % count:
        raise _cannot(
            model,
            f"{' or '.join(map(str, sorted(widths)))} coordinates are not those of {count} heads in every block",
        )
    return Heads(tuple(modules), count, widths.pop() // count)


def _head_outputs(block: nn.Module, calls: Mapping[nn.Module, Call]) -> list[nn.Module]:
    found: dict[nn.Module, None] = {}
    for module in block.modules():
        if module is block or module not in calls or not calls[module].given_cache:
            continue
        last = max(
            (leaf for leaf in module.modules() if leaf in calls and _is_matrix(leaf)),
            key=lambda leaf: calls[leaf].order,
            default=None,
        )
        if last is not None and calls[last].times == 1 and _returns(module, last, block, calls):
            found[last] = None
    return list(found)


def _is_matrix(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return not any(module.children()) and isinstance(weight, Tensor) and weight.ndim == 2


def _returns(
    attention: nn.Module, last: nn.Module, block: nn.Module, calls: Mapping[nn.Module, Call]
) -> bool:
    """Whether what the attention gives is its last module's output, with or without a residual added to it."""
    given, made = calls[attention].output, calls[last].output
    if same(given, made):
        return True
    residuals = (calls[block].entered, calls[attention].entered)
    return any(entered.shape == made.shape and same(given, made + entered) for entered in residuals)


def _attention_heads(model: nn.Module) -> int | None:
    config: Any = model.config
    count = getattr(config.get_text_config(), "num_attention_heads", None)
    return count if isinstance(count, int) and count > 0 else None


def _cannot(model: nn.Module, why: str) -> SteergaugeError:
    return SteergaugeError(
        f"{type(model).__name__}: {why}, so single heads cannot be steered; use a method other than iti"
    )
