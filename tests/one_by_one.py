"""Selections recomputed plainly: transformers alone, one candidate and one prompt at a time, for oracles."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from steergauge.models.loading import Model
from tiny import plain

Array = NDArray[np.float64]
Change = Callable[[Tensor], Tensor]

WRITERS = {"llama": ("self_attn", "mlp"), "gpt2": ("attn", "mlp")}
"""The attention and the MLP in a block, as the family's source names them."""


class Run(NamedTuple):
    """One prompt's hidden_states[1:] and what enters the blocks, (blocks, tokens, width), and its last logits."""

    hidden: Array
    entering: Array
    logits: Array


class Plain:
    """The checkpoint of a folder in float64, asked prompt by prompt, without padding."""

    def __init__(self, model: Model, folder: Path, blocks: str, writers: tuple[str, str]) -> None:
        self.model = plain(folder).double()
        tokenizer: Any = model.tokenizer
        self.blocks = list(self.model.get_submodule(blocks).children())
        self.writers = [block.get_submodule(name) for block in self.blocks for name in writers]
        self._encode: Callable[[str], Tensor] = lambda prompt: tokenizer(
            model.template.render(prompt), add_special_tokens=False, return_tensors="pt"
        )["input_ids"]

    def run(self, prompt: str) -> Run:
        entering: list[Tensor] = []
        handles = [
            block.register_forward_pre_hook(lambda _block, inputs: entering.append(inputs[0][0].clone()))
            for block in self.blocks
        ]
        with torch.inference_mode():
            out = self.model(self._encode(prompt), output_hidden_states=True)
        for handle in handles:
            handle.remove()
        hidden = torch.stack([state[0] for state in out.hidden_states[1:]])
        return Run(hidden.numpy(), torch.stack(entering).numpy(), out.logits[0, -1].numpy())

    def runs(self, prompts: Sequence[str]) -> list[Run]:
        return [self.run(prompt) for prompt in prompts]

    @contextmanager
    def changed(self, layer: int, change: Change) -> Iterator[None]:
        """Changes p_l."""
        with _hooks(
            [self.blocks[layer].register_forward_pre_hook(lambda _b, ins: (change(ins[0]), *ins[1:]))]
        ):
            yield

    @contextmanager
    def changed_everywhere(self, change: Change) -> Iterator[None]:
        """Changes every block input, attention output and MLP output."""

        def after(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

        handles = [
            block.register_forward_pre_hook(lambda _b, ins: (change(ins[0]), *ins[1:]))
            for block in self.blocks
        ]
        with _hooks(handles + [writer.register_forward_hook(after) for writer in self.writers]):
            yield


@contextmanager
def _hooks(handles: list[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def without(unit: Tensor) -> Change:
    """H − (h·û)û."""
    return lambda h: h - (h @ unit)[..., None] * unit


def plus(vector: Tensor) -> Change:
    """H + v."""
    return lambda h: h + vector


def softmax(logits: Array) -> Array:
    powers: Array = np.exp(logits - logits.max())
    return powers / float(powers.sum())


def kl(unmodified: Sequence[Run], modified: Sequence[Run]) -> float:
    """The mean over prompts, written out."""
    total = 0.0
    for before, after in zip(unmodified, modified, strict=True):
        p, q = softmax(before.logits), softmax(after.logits)
        total += sum(a * (np.log(a + 1e-6) - np.log(b + 1e-6)) for a, b in zip(p, q, strict=True))
    return total / len(unmodified)


def cosine(one: Array, other: Array) -> float:
    return float(np.dot(one, other) / np.sqrt(np.dot(one, one) * np.dot(other, other)))
