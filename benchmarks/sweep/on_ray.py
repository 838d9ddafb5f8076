"""The torch engine on a Ray cluster of this machine: workers of one thread each."""

from collections.abc import Sequence
from functools import partial

import ray
import torch
from benchmarks.sweep.engines import requests_of, steerings_of
from benchmarks.sweep.grid import Grid, Row
from benchmarks.sweep.ways import Run

from steergauge.models.loading import load_model
from steergauge.steering.engines import EngineChoice, EngineName
from steergauge.steering.ray_cluster import ENVIRONMENT, RayCluster

WAVE_ROWS = 8


def start(workers: int, name: str, precision: str, grid: Grid) -> Run:
    """So many workers, all of which have loaded the model."""
    torch.set_num_threads(1)  # what each worker is given too
    ray.init(num_cpus=workers, include_dashboard=False, runtime_env={"env_vars": ENVIRONMENT})
    model, steerings = load_model(name, precision=precision), steerings_of(grid)
    choice = EngineChoice(EngineName.TORCH, "it runs everywhere")
    engine = RayCluster("auto").engine(choice, model, WAVE_ROWS, 0)

    def run(rows: Sequence[Row], tokens: int) -> list[list[int]]:
        requests = requests_of(grid, steerings, rows, tokens)
        waves = [requests[first : first + WAVE_ROWS] for first in range(0, len(rows), WAVE_ROWS)]
        made = dict(engine.generate_waves(waves, lambda _: None))
        return [list(one.tokens) for number in range(len(waves)) for one in made[number]]

    run([Row(0, 0)] * WAVE_ROWS * workers, 1)
    return run


start_1, start_2, start_4 = (partial(start, workers) for workers in (1, 2, 4))
