"""Run alone: memory at the peak of a batch, memory before it, and what is foretold of the batch, in bytes."""

import dataclasses
import sys
from pathlib import Path

import psutil
import torch

from steergauge.models.loading import load_model
from steergauge.models.size import shape_of
from steergauge.steering.engine import Decoding, Request
from steergauge.steering.steering import unsteered
from steergauge.steering.torch_engine import TorchEngine, row_bytes

ROWS, TOKENS = 96, 6


def peak_memory() -> int:
    """Of this program, as Linux tells it; `ru_maxrss` would be that of the larger process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kibibytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kibibytes) * 1024


def main(folder: str, prompt_tokens: int) -> None:
    """Prints all three."""
    torch.set_num_threads(1)
    model = dataclasses.replace(load_model(folder, precision="float32", device="cpu"), stop_tokens=())
    engine, control = TorchEngine(model), unsteered(len(model.blocks), model.blocks.width)
    template = len(model.template.encode(["What"], "cpu")["input_ids"][0]) - 1
    rest = " is" * (prompt_tokens - template - 1)
    # They differ in their first word, so that no opening is shared.
    first = ("What", "is")
    requests = [Request(first[row % 2] + rest, control, Decoding(TOKENS)) for row in range(ROWS)]
    list(engine.generate(requests[:1]))
    before = psutil.Process().memory_info().rss
    list(engine.generate(requests))
    print(peak_memory(), before, ROWS * row_bytes(shape_of(model.module.config), 4, TOKENS))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
