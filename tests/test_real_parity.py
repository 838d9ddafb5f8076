"""Every capture backend on a real model, as docs/parity.md says of it."""

import pytest

from steergauge.activations.parity import Outcome, measure_parity
from steergauge.models.loading import load_model
from steergauge.prompts import study_contrast_set

pytestmark = pytest.mark.real


def test_every_tool_reads_the_stream_that_hooks_read() -> None:
    for package in ("nnsight", "pyvene", "transformer_lens"):
        pytest.importorskip(package)
    model = load_model("qwen2.5-coder-0.5b", precision="float32", device="cpu")
    prompts = study_contrast_set()
    found = {one.backend: one for one in measure_parity(model, [*prompts.positive, *prompts.negative])}
    assert {name: one.outcome for name, one in found.items()} == dict.fromkeys(
        ("hidden_states", "nnsight", "transformer_lens", "pyvene"), Outcome.SUPPORTED
    )
    errors = {name: one.agreement.worst_error for name, one in found.items() if one.agreement}
    assert errors.pop("transformer_lens") < 1e-5
    assert set(errors.values()) == {0.0}
