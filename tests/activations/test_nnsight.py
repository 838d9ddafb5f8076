import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_hooks import PROMPTS, streams_one_by_one

from steergauge.activations.nnsight import capture
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model, load_model
from tiny import FAMILIES

Models = Callable[[str], Model]
Folders = Callable[[str], Path]

installed = pytest.mark.skipif(
    importlib.util.find_spec("nnsight") is None,
    reason="nnsight is not installed: pip install 'steergauge[nnsight]'",
)


def test_without_the_package_the_error_names_the_extra(
    phantom_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nnsight", None)  # as if it were not installed
    with pytest.raises(SteergaugeError, match=r"pip install 'steergauge\[nnsight\]'"):
        capture(phantom_model, PROMPTS)


@installed
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_read_whether_its_blocks_return_tensors_or_tuples(
    family: str, tiny_model: Models, tiny_folder: Folders
) -> None:
    read = capture(tiny_model(family), PROMPTS, (-1, -3))
    alone = streams_one_by_one(tiny_model(family), tiny_folder(family), family, PROMPTS)
    expected = np.stack([streams[:, [-1, -3]] for streams in alone])
    np.testing.assert_allclose(read.values, expected, atol=1e-4, rtol=1e-4)


@installed
def test_a_blocks_output_is_read_before_the_blocks_own_hooks(tiny_folder: Folders) -> None:
    model = load_model(str(tiny_folder("llama")), precision="float32", device="cpu")
    before = capture(model, PROMPTS).values
    model.blocks.modules[1].register_forward_hook(lambda _module, _inputs, output: output + 1)
    written = capture(model, PROMPTS).values
    assert np.array_equal(written[:, :2], before[:, :2])
    assert not np.allclose(written[:, 2], before[:, 2], atol=0.1)
