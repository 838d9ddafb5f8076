"""Steering with transformers alone, written as a user would: forward hooks and `generate`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from benchmarks.sweep.grid import Grid, Row, by_condition
from benchmarks.sweep.loaded import loaded
from benchmarks.sweep.ways import Run
from torch import Tensor, nn

from steergauge.models.loading import Model


def start_one_by_one(name: str, precision: str, grid: Grid) -> Run:
    """The study's way."""
    model = loaded(name, precision)
    generating: Any = model.module

    def run(rows: Sequence[Row], tokens: int) -> list[list[int]]:
        made = []
        for row in rows:
            inputs = model.tokenizer(grid.rendered[row.prompt], add_special_tokens=False, return_tensors="pt")
            with hooks(
                model.blocks.modules, grid.first_blocks[row.condition], addition(model, grid, row.condition)
            ):
                output = generating.generate(**inputs, generation_config=model.greedy(tokens))
            made.append(output[0, inputs["input_ids"].shape[1] :].tolist())
        return made

    return run


def start_batched(name: str, precision: str, grid: Grid) -> Run:
    """All prompts of a condition in a batch."""
    model = loaded(name, precision)
    generating: Any = model.module

    def generate(inputs: dict[str, Tensor], condition: int, tokens: int) -> Tensor:
        with hooks(model.blocks.modules, grid.first_blocks[condition], addition(model, grid, condition)):
            output: Tensor = generating.generate(**inputs, generation_config=model.greedy(tokens))
        return output

    return batch_by_batch(model, grid, generate)


def batch_by_batch(
    model: Model, grid: Grid, generate: Callable[[dict[str, Tensor], int, int], Tensor]
) -> Run:
    """One condition after another, its prompts padded on the left.

    Args:
        model: whose tokenizer it is.
        grid: where the prompts are.
        generate: from inputs, a condition and a number of new tokens to all tokens, (prompts, tokens).
    """

    def run(rows: Sequence[Row], tokens: int) -> list[list[int]]:
        made: list[list[int]] = [[]] * len(rows)
        for condition, places in by_condition(rows):
            texts = [grid.rendered[rows[place].prompt] for place in places]
            inputs = model.tokenizer(
                texts, add_special_tokens=False, padding=True, padding_side="left", return_tensors="pt"
            )
            output = generate(dict(inputs), condition, tokens)
            written = output[:, inputs["input_ids"].shape[1] :].tolist()
            for place, one in zip(places, written, strict=True):
                made[place] = one
        return made

    return run


def addition(model: Model, grid: Grid, condition: int) -> Tensor:
    """α·û in the model's precision, (width,)."""
    return (grid.doses[condition] * torch.from_numpy(grid.vector(condition))).to(model.module.dtype)


@contextmanager
def hooks(layers: Sequence[nn.Module], first: int, vector: Tensor) -> Iterator[None]:
    """Adds a vector to what every layer from the first returns."""

    def steer(_layer: nn.Module, _inputs: Any, output: Any) -> Any:
        return (output[0] + vector, *output[1:]) if isinstance(output, tuple) else output + vector

    handles = [layer.register_forward_hook(steer) for layer in layers[first:]]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
