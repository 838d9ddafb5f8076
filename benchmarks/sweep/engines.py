"""steergauge's own engines: rows of all conditions in one batch."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from unittest.mock import patch

import numpy as np
from benchmarks.sweep.grid import Grid, Row
from benchmarks.sweep.loaded import loaded
from benchmarks.sweep.ways import Run
from torch import Tensor

from steergauge.steering.engine import Decoding, Engine, Request
from steergauge.steering.steering import Steering
from steergauge.steering.torch_engine import TorchEngine
from steergauge.steering.vllm_engine import VllmEngine


def start_torch(name: str, precision: str, grid: Grid) -> Run:
    """The torch engine."""
    return _running(TorchEngine(loaded(name, precision)), grid)


def start_vllm(name: str, precision: str, grid: Grid) -> Run:
    """The vllm engine."""
    return _running(VllmEngine(loaded(name, precision)), grid)


def start_torch_unsteered(name: str, precision: str, grid: Grid) -> Run:
    """The torch engine with no hook on any block."""
    run = _running(TorchEngine(loaded(name, precision)), grid)

    def unsteered(rows: Sequence[Row], tokens: int) -> list[list[int]]:
        with patch("steergauge.steering.torch_engine.intervene", lambda *_: NoIntervention()):
            return run(rows, tokens)

    return unsteered


def steerings_of(grid: Grid) -> list[Steering]:
    """Each condition's."""
    return [
        Steering(grid.vector(place), np.where(np.arange(grid.blocks) >= first, dose, 0.0), first)
        for place, (dose, first) in enumerate(zip(grid.doses, grid.first_blocks, strict=True))
    ]


def requests_of(grid: Grid, steerings: Sequence[Steering], rows: Sequence[Row], tokens: int) -> list[Request]:
    """A request a row."""
    return [Request(grid.prompts[row.prompt], steerings[row.condition], Decoding(tokens)) for row in rows]


def _running(engine: Engine, grid: Grid) -> Run:
    steerings = steerings_of(grid)

    def run(rows: Sequence[Row], tokens: int) -> list[list[int]]:
        made = dict(engine.generate(requests_of(grid, steerings, rows, tokens)))
        return [list(made[place].tokens) for place in range(len(rows))]

    return run


class NoIntervention:
    """In the place of an `Intervention`: touches nothing, and tells the count of tokens that the engine expects."""

    steered_tokens: Tensor

    def expect(self, steered: Tensor) -> None:
        """Takes the positions that would be steered, (rows, all tokens so far)."""
        self.steered_tokens = steered.sum(dim=1)

    def select(self, rows: Tensor) -> None:
        """Goes on with the given rows."""
        self.steered_tokens = self.steered_tokens[rows]

    def attached(self, _blocks: object) -> AbstractContextManager[None]:
        """No hooks."""
        return nullcontext()
