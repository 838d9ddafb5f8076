"""What a study will take, told before anything runs: generations, tokens, memory, and time by this machine's speed."""

import time
from collections.abc import Sequence
from enum import StrEnum
from functools import cache

import psutil
import torch
from pydantic import Field

from steergauge.models.catalog import find_entry
from steergauge.models.precision import resolve_device
from steergauge.models.quantizations import resolve_format
from steergauge.models.size import Shape, Size, measure_size
from steergauge.models.weights import folder_here
from steergauge.steering.torch_engine import free_memory, row_bytes, rows_that_fit
from steergauge.studies.experiments.experiment import Work
from steergauge.studies.measurements import Record

# A prompt of the built-in sets: with its template as directions are read from it, and what it does not share with the
# others, which the engine runs once for all.
_PROMPT_TOKENS = 40
_OWN_PROMPT_TOKENS = 16
_PROBE_SECONDS = 0.4
_WIDEST_PROBE = 2048  # past this a product is no faster, and its weights would take gigabytes
# The share of the matrix products' speed that the torch engine reached while it decoded: the 0.5B and the 1.5B in
# float32, 30 and 256 rows, two threads (docs/studies.md). Prompts are read at all of the speed of as many rows.
_ENGINE_SHARE = 0.7
_ROWS_OF_READING = 512
_LOADING = 2e8  # bytes of weights a second from disk to memory, measured on the 0.5B and the 1.5B
_LARGEST_VOCABULARY = 256_000  # of the catalogue's models: Gemma's


class Basis(StrEnum):
    """What a model's size is known from."""

    FILES = "its files"
    CATALOGUE = "the catalogue"
    NOTHING = "nothing"


class Foretold(Record):
    """One part of a study, with what it will take at most."""

    model: str = Field(description="Which model, with its precision.")
    what: str = Field(description="What is measured.")
    conditions: int = Field(description="Conditions, controls included.")
    generations: int = Field(description="Outputs; those in the store are not made again.")
    tokens: int = Field(description="New tokens, if every output is as long as it may be.")
    basis: Basis = Field(description="What memory and time rest on.")
    gibibytes: float | None = Field(
        description="The most memory of the process at once: the program, weights, keys, values and logits; on a "
        "device of its own, without the program. Null without a basis."
    )
    fits: bool = Field(description="Whether the weights fit the memory that is free; true without a basis.")
    seconds: float | None = Field(description="On this machine; null without a basis.")


def foretell(work: Sequence[Work], device: str = "auto", batch: int | None = None) -> list[Foretold]:
    """Estimates every part from the models' sizes and this machine's measured speed. Nothing is fetched or loaded.

    Args:
        work: what a study plans.
        device: where it is to run.
        batch: rows of a batch, if they are given.

    Raises:
        SteergaugeError: a model, a device or a precision is unknown.
    """
    place = resolve_device(device)
    loaded = [None, *(part.model for part in work)]
    return [
        _foretell(part, place, batch, is_loaded=part.model == before)
        for part, before in zip(work, loaded, strict=False)
    ]


def _foretell(part: Work, device: str, batch: int | None, *, is_loaded: bool) -> Foretold:
    precision = resolve_format(
        part.model.precision, device
    ).precision  # quantised ones are loaded in it first
    tokens = part.generations * part.max_new_tokens
    size, basis = _size(part.model.name)
    gibibytes, fits, seconds = None, True, None
    if size is not None:
        element = precision.dtype.itemsize
        weights, row = size.parameters * element, row_bytes(size.shape, element, part.max_new_tokens)
        left = free_memory(device) - weights
        readings = part.readings + part.readings_a_block * size.shape.blocks
        rows = min(
            batch or rows_that_fit(row, max(left, 0)), part.largest_stage or part.generations or readings
        )
        gibibytes, fits = (_program(device) + weights + rows * row) / 2**30, left > 0
        multiplied = size.parameters - size.looked_up
        read = part.generations * _OWN_PROMPT_TOKENS + readings * _PROMPT_TOKENS
        width = min(size.shape.width, _WIDEST_PROBE)
        decoding = operations_per_second(device, precision.dtype, rows, width) * _ENGINE_SHARE
        reading = operations_per_second(device, precision.dtype, _ROWS_OF_READING, width)
        seconds = 2 * multiplied * tokens / decoding + 2 * (multiplied - size.head) * read / reading
        seconds += 0 if is_loaded else weights / _LOADING
    return Foretold(
        model=part.model.label if part.model.precision != "auto" else f"{part.model.name}, {precision}",
        what=part.what,
        conditions=part.conditions,
        generations=part.generations,
        tokens=tokens,
        basis=basis,
        gibibytes=gibibytes,
        fits=fits,
        seconds=seconds,
    )


@cache
def _program(device: str) -> int:
    """What Python and the libraries take of the device's memory before a model is loaded, in bytes."""
    return 0 if device.startswith("cuda") else int(psutil.Process().memory_info().rss)


def _size(model: str) -> tuple[Size | None, Basis]:
    """A model's size: from its files where they are here, else at most what the catalogue's numbers allow."""
    folder = folder_here(model)
    if folder is not None:
        return measure_size(folder), Basis.FILES
    entry = find_entry(model)
    if entry is None:
        return None, Basis.NOTHING
    # Heads that share keys and values, and a smaller vocabulary, take less than this.
    shape = Shape(entry.blocks, entry.width, _LARGEST_VOCABULARY, cached=2 * entry.blocks * entry.width)
    return Size(round(entry.billions * 1e9), 0, 0, shape), Basis.CATALOGUE


@cache
def operations_per_second(device: str, dtype: torch.dtype, rows: int, width: int) -> float:
    """Floating-point operations a second of the products that decoding consists of, measured for half a second."""
    left = torch.randn(rows, width, device=device).to(dtype)
    weights = [torch.randn(width, 4 * width, device=device).to(dtype) for _ in range(4)]
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < _PROBE_SECONDS or not done:
        for weight in weights:  # several, so that they are read from memory as a model's are
            product = left @ weight
        float(product[0, 0])  # waits for an accelerator
        done += len(weights)
    return 2 * rows * width * 4 * width * done / elapsed
