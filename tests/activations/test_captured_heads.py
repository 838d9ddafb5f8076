from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from steergauge.activations.heads import capture_heads
from steergauge.models.loading import Model
from tiny import BLOCKS, FAMILIES, HEADS, WIDTH, head_outputs, plain

Models = Callable[[str], Model]
PROMPTS = ["Tell me a joke", "How do I bake a good chocolate cake at home for my friends?", "Hello"] * 7


@pytest.mark.parametrize("family", FAMILIES)
def test_heads_are_read_at_the_last_token_of_each_prompt(
    family: str, tiny_model: Models, tiny_folder: Callable[[str], Path]
) -> None:
    model, oracle = tiny_model(family), plain(tiny_folder(family))
    readings = capture_heads(model, PROMPTS)
    assert readings.shape == (len(PROMPTS), BLOCKS, HEADS, WIDTH // HEADS)
    assert readings.dtype == np.float32
    entering: list[Tensor] = []
    for module in head_outputs(oracle, family):
        module.register_forward_pre_hook(lambda _module, inputs: entering.append(inputs[0]))
    for prompt in range(3):
        entering.clear()
        ids = model.template.encode([PROMPTS[prompt]], "cpu")["input_ids"]  # alone, without padding
        with torch.inference_mode():
            oracle(input_ids=ids)
        expected = torch.stack([one[0, -1] for one in entering]).view(BLOCKS, HEADS, -1)
        for repeat in range(prompt, len(PROMPTS), 3):  # in the second batch too
            np.testing.assert_allclose(readings[repeat], expected, atol=1e-4, rtol=1e-4)
    assert not np.allclose(readings[0], readings[1], atol=1e-2)


def test_hooks_come_off_when_a_reading_fails(phantom_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_arguments: object) -> None:
        raise RuntimeError("no room")

    assert phantom_model.heads
    monkeypatch.setattr(phantom_model.module, "forward", fail)
    with pytest.raises(RuntimeError, match="no room"):
        capture_heads(phantom_model, PROMPTS[:1])
    assert not any(module._forward_pre_hooks for module in phantom_model.heads.modules)
