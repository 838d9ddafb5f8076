"""Steering with nnsight as its documentation does: interventions at every step of its `generate`."""

from benchmarks.sweep.by_hand import addition, batch_by_batch
from benchmarks.sweep.grid import Grid
from benchmarks.sweep.loaded import loaded
from benchmarks.sweep.ways import Run
from torch import Tensor

from steergauge.activations.hidden_states import own_copy
from steergauge.models.extras import require_extra


def start(name: str, precision: str, grid: Grid) -> Run:
    """All prompts of a condition in a batch. nnsight changes the modules that it wraps: they are its own here."""
    nnsight = require_extra("nnsight", "nnsight", "this way")
    model = own_copy(loaded(name, precision))
    traced = nnsight.TransformersModel(model.module, tokenizer=model.tokenizer, task="text-generation")
    layers = traced.get(model.blocks.path)

    def generate(inputs: dict[str, Tensor], condition: int, tokens: int) -> Tensor:
        vector, steered = addition(model, grid, condition), layers[grid.first_blocks[condition] :]
        with traced.generate(generation_config=model.greedy(tokens)) as tracer:
            with tracer.invoke(inputs):
                for _ in tracer.iter[0:tokens]:
                    for layer in steered:
                        layer.output = layer.output + vector
            with tracer.invoke():
                output: Tensor = tracer.result.save()
        return output

    return batch_by_batch(model, grid, generate)
