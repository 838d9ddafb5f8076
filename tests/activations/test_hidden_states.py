from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from test_hooks import PROMPTS, streams_one_by_one, unpadded_ids

from steergauge.activations import hooks
from steergauge.activations.hidden_states import capture, own_copy
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model, load_model
from steergauge.models.precision import Precision
from tiny import BLOCKS, FAMILIES, WIDTH, plain

Models = Callable[[str], Model]
Folders = Callable[[str], Path]
POSITIONS = (-1, -3, -2)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_blocks_stream_is_that_of_each_prompt_alone_and_the_last_is_not_normed(
    family: str, tiny_model: Models, tiny_folder: Folders
) -> None:
    read = capture(tiny_model(family), PROMPTS, POSITIONS)
    assert read.values.shape == (len(PROMPTS), BLOCKS, len(POSITIONS), WIDTH)
    assert read.values.dtype == np.float32
    assert read.positions == POSITIONS
    alone = streams_one_by_one(tiny_model(family), tiny_folder(family), family, PROMPTS)
    expected = np.stack([streams[:, list(POSITIONS)] for streams in alone])
    np.testing.assert_allclose(read.values, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gemma3-text", "falcon"])
def test_all_blocks_but_the_last_are_transformers_own_hidden_states(
    family: str, tiny_model: Models, tiny_folder: Folders
) -> None:
    model, oracle = tiny_model(family), plain(tiny_folder(family))
    read = capture(model, PROMPTS).at(-1)
    for row, prompt in enumerate(PROMPTS):
        with torch.inference_mode():
            hidden = oracle(
                torch.tensor([unpadded_ids(model, prompt)]), output_hidden_states=True
            ).hidden_states
        expected = torch.cat([state[0, -1:] for state in hidden[1:]])
        np.testing.assert_allclose(read[row, :-1], expected[:-1], atol=1e-4, rtol=1e-4)
        assert not np.allclose(read[row, -1], expected[-1], atol=1e-2)


def test_a_write_after_transformers_own_recorders_is_seen(tiny_folder: Folders) -> None:
    model = load_model(str(tiny_folder("llama")), precision="float32", device="cpu")
    model.module(torch.tensor([[6, 7]]), output_hidden_states=True)  # leaves its recorders in the model
    before = capture(model, PROMPTS).values
    handle = model.blocks.modules[1].register_forward_hook(lambda _module, _inputs, output: output + 1)
    written = capture(model, PROMPTS).values
    expected = hooks.capture(model, PROMPTS).values
    handle.remove()
    np.testing.assert_allclose(written, expected, atol=1e-5)
    assert np.array_equal(written[:, 0], before[:, 0])
    np.testing.assert_allclose(written[:, 1], before[:, 1] + 1, atol=1e-5)


def test_a_model_with_other_hidden_states_is_refused(tiny_model: Models) -> None:
    model = own_copy(tiny_model("llama"))

    def double(_module: object, _inputs: object, output: dict[str, tuple[torch.Tensor, ...]]) -> None:
        output["hidden_states"] = output["hidden_states"] * 2

    model.module.register_forward_hook(double)
    with pytest.raises(SteergaugeError, match="10 hidden states for 4 blocks"):
        capture(model, PROMPTS)


def test_a_copy_has_modules_of_its_own_over_the_same_weights(tiny_model: Models) -> None:
    model = tiny_model("qwen2")
    own = own_copy(model)
    assert not set(own.module.modules()) & set(model.module.modules())
    assert set(own.blocks.modules) <= set(own.module.modules())
    assert own.blocks.final_norm in set(own.module.modules())
    theirs = dict(model.module.named_parameters())
    assert all(weight is theirs[name] for name, weight in own.module.named_parameters())


@pytest.mark.parametrize("family", ["qwen2", "gemma3-text", "gpt2", "bloom"])
def test_a_copy_in_another_precision_reads_as_the_model_loaded_in_it(
    family: str, tiny_model: Models, tiny_folder: Folders
) -> None:
    model = tiny_model(family)
    before = hooks.capture(model, PROMPTS).values
    cast = own_copy(model, Precision.BFLOAT16)
    loaded = load_model(str(tiny_folder(family)), precision="bfloat16", device="cpu")
    assert cast.precision is Precision.BFLOAT16
    assert np.array_equal(hooks.capture(cast, PROMPTS).values, hooks.capture(loaded, PROMPTS).values)
    assert np.array_equal(hooks.capture(model, PROMPTS).values, before)
