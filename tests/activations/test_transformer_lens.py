import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_hooks import PROMPTS, streams_one_by_one

from steergauge.activations import hooks
from steergauge.activations.parity import Outcome, measure_parity
from steergauge.activations.transformer_lens import capture
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model, load_model
from tiny import FAMILIES

Models = Callable[[str], Model]
Folders = Callable[[str], Path]

installed = pytest.mark.skipif(
    importlib.util.find_spec("transformer_lens") is None,
    reason="transformer_lens is not installed: pip install 'steergauge[transformer-lens]'",
)


def test_without_the_package_the_error_names_the_extra(
    phantom_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformer_lens", None)  # as if it were not installed
    with pytest.raises(SteergaugeError, match=r"pip install 'steergauge\[transformer-lens\]'"):
        capture(phantom_model, PROMPTS)


@installed
@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "falcon-alibi"])
def test_every_family_is_read_whether_its_blocks_return_tensors_or_tuples(
    family: str, tiny_model: Models, tiny_folder: Folders
) -> None:
    read = capture(tiny_model(family), PROMPTS, (-1, -3))
    alone = streams_one_by_one(tiny_model(family), tiny_folder(family), family, PROMPTS)
    expected = np.stack([streams[:, [-1, -3]] for streams in alone])
    np.testing.assert_allclose(read.values, expected, atol=1e-4, rtol=1e-4)


@installed
def test_a_model_that_also_takes_images_is_read_without_installing_anything(
    tiny_model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[object] = []
    monkeypatch.setattr(subprocess, "check_call", lambda *command, **_: called.append(command))
    monkeypatch.setitem(sys.modules, "torchvision", None)
    capture(tiny_model("gemma3-wrapper"), PROMPTS)
    assert not called


@installed
def test_on_falcon_with_alibi_the_bridge_reads_another_stream_and_parity_says_so(tiny_model: Models) -> None:
    (parity,) = measure_parity(tiny_model("falcon-alibi"), PROMPTS, {"transformer_lens": capture})
    assert parity.outcome in (Outcome.SILENTLY_WRONG, Outcome.DEGRADED), parity
    assert parity.agreement
    assert parity.agreement.worst_error > 0.01


@installed
def test_what_the_blocks_own_hooks_write_is_read(tiny_folder: Folders) -> None:
    model = load_model(str(tiny_folder("llama")), precision="float32", device="cpu")
    model.blocks.modules[1].register_forward_hook(lambda _module, _inputs, output: output + 1)
    expected = hooks.capture(model, PROMPTS).values
    np.testing.assert_allclose(capture(model, PROMPTS).values, expected, atol=1e-4, rtol=1e-4)
