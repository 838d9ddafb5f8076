"""Steering with the package steering-vectors as its documentation does: `SteeringVector.apply` around `generate`."""

from typing import Any

import torch
from benchmarks.sweep.by_hand import batch_by_batch
from benchmarks.sweep.grid import Grid
from benchmarks.sweep.loaded import loaded
from benchmarks.sweep.ways import Run
from torch import Tensor

from steergauge.models.extras import require_extra


def start(name: str, precision: str, grid: Grid) -> Run:
    """All prompts of a condition in a batch."""
    package = require_extra("steering_vectors", "steering-vectors", "this way")
    model = loaded(name, precision)
    generating: Any = model.module

    def generate(inputs: dict[str, Tensor], condition: int, tokens: int) -> Tensor:
        unit = torch.from_numpy(grid.vector(condition)).to(model.module.dtype)
        steered = range(grid.first_blocks[condition], grid.blocks)
        vector = package.SteeringVector(dict.fromkeys(steered, unit))
        with vector.apply(model.module, multiplier=grid.doses[condition]):
            output: Tensor = generating.generate(**inputs, generation_config=model.greedy(tokens))
        return output

    return batch_by_batch(model, grid, generate)
