"""The roofline of decoding: the matrix products of one step, and nothing else."""

from collections.abc import Sequence

import torch
from benchmarks.sweep.grid import Grid, Row
from benchmarks.sweep.loaded import loaded
from benchmarks.sweep.ways import Run
from torch import nn
from torch.nn.functional import linear


def start(name: str, precision: str, grid: Grid) -> Run:
    """Every linear layer's own weights times a batch of rows, in the model's order; the head's too."""
    model = loaded(name, precision)
    weights = [module.weight for module in model.module.modules() if isinstance(module, nn.Linear)]
    states = {weight.shape[1]: torch.randn(1, weight.shape[1]).to(weight.dtype) for weight in weights}

    @torch.inference_mode()
    def run(rows: Sequence[Row], tokens: int) -> list[list[int]]:
        batch = {width: state.repeat(len(rows), 1) for width, state in states.items()}  # (rows, width)
        for _ in range(tokens):
            for weight in weights:
                linear(batch[weight.shape[1]], weight)
        return []

    return run
