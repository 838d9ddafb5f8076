import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_hooks import PROMPTS, streams_one_by_one

from steergauge.activations import hooks
from steergauge.activations.pyvene import capture
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model, load_model
from tiny import FAMILIES

Models = Callable[[str], Model]
Folders = Callable[[str], Path]

installed = pytest.mark.skipif(
    importlib.util.find_spec("pyvene") is None,
    reason="pyvene is not installed: pip install 'steergauge[pyvene]'",
)


def test_without_the_package_the_error_names_the_extra(
    phantom_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyvene", None)  # as if it were not installed
    with pytest.raises(SteergaugeError, match=r"pip install 'steergauge\[pyvene\]'"):
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
def test_what_the_blocks_own_hooks_write_is_read_though_pyvene_removes_foreign_hooks(
    tiny_folder: Folders,
) -> None:
    model = load_model(str(tiny_folder("llama")), precision="float32", device="cpu")
    model.blocks.modules[1].register_forward_hook(lambda _module, _inputs, output: output + 1)
    for _ in range(2):  # the hook is still there
        expected = hooks.capture(model, PROMPTS).values
        np.testing.assert_allclose(capture(model, PROMPTS).values, expected, atol=1e-5)


@installed
def test_what_pyvene_says_of_its_own_extras_does_not_go_to_stdout(
    tiny_model: Models, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyvene"]:
        monkeypatch.delitem(sys.modules, name)  # so that it is imported anew
    monkeypatch.setitem(sys.modules, "nnsight", None)
    capture(tiny_model("llama"), PROMPTS)
    said = capsys.readouterr()
    assert said.out == ""
    assert "nnsight is not detected" in said.err
