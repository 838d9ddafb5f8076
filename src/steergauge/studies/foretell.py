"""What a study will take, told before anything runs: generations, tokens, memory, and time by this machine's speed."""

import time
from collections.abc import Sequence
from functools import cache

import torch
from pydantic import Field

from steergauge.models.precision import resolve_device, resolve_precision
from steergauge.models.size import measure_size
from steergauge.models.weights import resolve
from steergauge.studies.experiments.experiment import Work
from steergauge.studies.measurements import Record

# A prompt of the built-in sets with its template.
_PROMPT_TOKENS = 40
_ROWS = 256  # the most rows that the torch engine takes at once on its own
_PROBE_SECONDS = 0.4
# The share of the matrix products' speed that the torch engine reached: the 0.5B and the 1.5B in float32, 30 and
# 256 rows, two threads (docs/studies.md).
_ENGINE_SHARE = 0.7
_LOADING = 2e8  # bytes a second from disk to memory, measured on the 0.5B and the 1.5B


class Foretold(Record):
    """One part of a study, with what it will take at most."""

    model: str = Field(description="Which model, with its precision.")
    what: str = Field(description="What is measured.")
    conditions: int = Field(description="Conditions, controls included.")
    generations: int = Field(description="Outputs; those in the store are not made again.")
    tokens: int = Field(description="New tokens, if every output is as long as it may be.")
    gibibytes: float = Field(description="Peak memory for weights, keys and values.")
    seconds: float = Field(description="On this machine, if every output is as long as it may be.")


def foretell(work: Sequence[Work], device: str = "auto", batch: int | None = None) -> list[Foretold]:
    """Estimates every part from the models' sizes and this machine's measured speed.

    Args:
        work: what a study plans.
        device: where it is to run.
        batch: rows of a batch, if they are given.

    Raises:
        SteergaugeError: a model is unknown or cannot be had.
    """
    return [_one(part, resolve_device(device), batch) for part in work]


def _one(part: Work, device: str, batch: int | None) -> Foretold:
    size = measure_size(resolve(part.model.name))
    precision = resolve_precision(part.model.precision, device)
    readings = part.readings + part.readings_a_block * size.blocks
    rows = min(batch or _ROWS, part.generations or readings)
    tokens = part.generations * part.max_new_tokens
    multiplied = size.parameters - size.embedded
    # A prompt's tokens skip the output head, which is about as large as the embeddings; its part is small.
    operations = 2 * multiplied * (tokens + (part.generations + readings) * _PROMPT_TOKENS)
    speed = operations_per_second(device, precision.dtype, rows, size.width) * _ENGINE_SHARE
    item = precision.dtype.itemsize
    length = _PROMPT_TOKENS + part.max_new_tokens
    weights = size.parameters * item
    return Foretold(
        model=f"{part.model.name}, {precision}",
        what=part.what,
        conditions=part.conditions,
        generations=part.generations,
        tokens=tokens,
        gibibytes=round((weights + 2 * size.cached * length * rows * item) / 2**30, 1),
        seconds=round(operations / speed + size.parameters * 4 / _LOADING, 0),
    )


@cache
def operations_per_second(device: str, dtype: torch.dtype, rows: int, width: int) -> float:
    """Floating-point operations a second of the products that decoding consists of, measured for half a second."""
    left = torch.randn(rows, width, device=device).to(dtype)
    weights = [torch.randn(width, 4 * width, device=device).to(dtype) for _ in range(4)]
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < _PROBE_SECONDS:
        for weight in weights:  # several, so that they are read from memory as a model's are
            product = left @ weight
        float(product[0, 0])  # waits for an accelerator
        done += len(weights)
    return 2 * rows * width * 4 * width * done / elapsed
