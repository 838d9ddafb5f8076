"""The phantom in another coordinate system, and under names that the catalogue knows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from steergauge.models import phantom as made
from steergauge.models.loading import Model, load_model
from steergauge.models.phantom import Array, Phantom, build_phantom

SMALL, LARGE = "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"
"""Two sizes of one family."""
OTHER = "smollm2-135m"
"""Of another family."""


@contextmanager
def _axes(axes: Array) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made, "_axes", lambda: axes)
        yield


def rotated(folder: Path, seed: int = 1) -> tuple[Phantom, Model]:
    """A phantom that says the same to everything, whose stream is turned: its direction lies elsewhere."""
    axes = made._axes()
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=axes.shape)).Q
    with _axes(axes @ turn):
        phantom = build_phantom(folder)
    return phantom, load_model(str(folder), precision="float32", device="cpu")
