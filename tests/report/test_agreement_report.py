"""How a store's conditions are named where raters and judges are compared."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from steergauge.report.agreement import render_corrected
from steergauge.statistics.agreement import Estimate
from steergauge.steering.engine import AnySteering, Decoding, Generation, Request, Sampling
from steergauge.steering.head_steering import HeadSteering
from steergauge.steering.steering import Steering, unsteered
from steergauge.store import Addressed, Setting, Store
from steergauge.studies.agreement import CorrectedRate

ADDED = Steering(np.eye(4, dtype=np.float32)[0], np.array([0.0, 2.5]), 1)
UNKNOWN = Estimate(math.nan, math.nan, math.nan)


@pytest.mark.parametrize(
    ("steering", "decoding", "expected"),
    [
        (unsteered(2, 4), Decoding(), "fingerpr unsteered"),
        (ADDED, Decoding(), ", add 2.5 from block 1"),
        (ADDED, Decoding(100, Sampling(0.7, sample=3)), ", add 2.5 from block 1, T = 0.7"),
        (HeadSteering(np.ones((2, 2, 2), dtype=np.float32)), Decoding(), ", add_to_heads"),
    ],
)
def test_a_condition_is_named_by_its_steering_and_its_temperature(
    steering: AnySteering, decoding: Decoding, expected: str, tmp_path: Path
) -> None:
    addressed = Addressed("key", Request("a prompt", steering, decoding), "rendered")
    with Store(tmp_path / "steergauge.db") as store:
        store.add(Setting("fingerprint", "engine"), [(addressed, Generation("text", (1,), "stop"))])
        condition = store.generations()["key"].condition
    console = Console(file=io.StringIO(), width=120)
    render_corrected([CorrectedRate(condition, "study", 10 / 3, 8, UNKNOWN)], console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"{expected}  study" in shown
    assert "3.3 of 8" in shown
