"""A small gauge of the phantom in a process of its own, slow enough to be killed anywhere.

Usage: killable.py PHANTOM FOLDER ROWS DELAY. ROWS is the batch that it would choose by itself. It writes the
result into FOLDER, and a line into FOLDER/log.jsonl for every wave that begins and every wave to be kept.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from steergauge.models.loading import load_model
from steergauge.report.html import write_html
from steergauge.report.tables import write_json
from steergauge.steering import torch_engine
from steergauge.steering.engine import Generation, Request
from steergauge.steering.torch_engine import TorchEngine
from steergauge.store import Addressed, Setting, Store
from steergauge.studies.gauge import gauge
from steergauge.studies.settings import GaugeSettings


def main(phantom: str, folder: Path, rows: int, delay: float) -> None:
    torch.set_num_threads(1)
    log = (folder / "log.jsonl").open("a", buffering=1)
    generate, add = TorchEngine.generate, Store.add

    def slow(self: TorchEngine, requests: Sequence[Request]) -> Iterator[tuple[int, Generation]]:
        if len(requests) > 1:  # not the check before the sweep
            log.write(json.dumps({"begins": len(requests)}) + "\n")
        for index, generation in enumerate(generate(self, requests)):
            if index == len(requests) // 2 > 0:
                time.sleep(delay)
            yield generation

    def logged(self: Store, setting: Setting, made: Sequence[tuple[Addressed, Generation]]) -> None:
        log.write(json.dumps({"made": [one.key for one, _ in made]}) + "\n")
        add(self, setting, made)

    torch_engine.rows_that_fit = lambda *_: rows
    TorchEngine.generate = slow  # type: ignore[method-assign]
    Store.add = logged  # type: ignore[method-assign]
    model = load_model(phantom, precision="float32", device="cpu")
    settings = GaugeSettings(depths=(0.5,), doses=(1.6, 3.0, 8.0), max_new_tokens=12, random_directions=2)
    result = gauge(model, settings, store=folder / "steergauge.db")
    write_html(result, folder / "report.html")
    write_json(result, folder / "result.json")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
