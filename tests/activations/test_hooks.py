from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from steergauge.activations.hooks import capture, measure_baseline
from steergauge.models.loading import Model, load_model
from steergauge.prompts import study_evaluation_set
from tiny import BLOCKS, FAMILIES, WIDTH, layers, plain, record

Models = Callable[[str], Model]
PROMPTS = ["Tell me a joke", "How do I bake a good chocolate cake at home for my friends?", "Hello"]
POSITIONS = (-1, -3, -2)


def unpadded_ids(model: Model, prompt: str) -> list[int]:
    ids: list[int] = model.tokenizer(model.template.render(prompt), add_special_tokens=False)["input_ids"]
    return ids


def streams_one_by_one(
    model: Model, folder: Path, family: str, prompts: Sequence[str]
) -> list[NDArray[np.float32]]:
    """r_k of each prompt run alone by plain transformers: (blocks, tokens, width) each."""
    oracle = plain(folder)
    modules = layers(oracle, family)
    found = []
    for prompt in prompts:
        _, leaving, stop = record(modules)
        with torch.inference_mode():
            oracle(torch.tensor([unpadded_ids(model, prompt)]))
        stop()
        found.append(torch.cat(leaving).numpy())
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_captured_streams_are_the_hidden_states_of_each_prompt_alone(
    family: str, tiny_model: Models, tiny_folder: Callable[[str], Path]
) -> None:
    model, oracle = tiny_model(family), plain(tiny_folder(family))
    read = capture(model, PROMPTS, POSITIONS)
    assert read.values.shape == (len(PROMPTS), BLOCKS, len(POSITIONS), WIDTH)
    assert read.values.dtype == np.float32
    for row, prompt in enumerate(PROMPTS):
        with torch.inference_mode():
            hidden = oracle(
                torch.tensor([unpadded_ids(model, prompt)]), output_hidden_states=True
            ).hidden_states
        for block in range(BLOCKS - 1):  # the last one's is normed: see the next test
            expected = hidden[block + 1][0, list(POSITIONS)]
            np.testing.assert_allclose(read.values[row, block], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_blocks_stream_is_captured_before_the_final_norm(
    family: str, tiny_model: Models, tiny_folder: Callable[[str], Path]
) -> None:
    model = tiny_model(family)
    last = capture(model, PROMPTS).at(-1)[:, -1]
    expected = [
        streams[-1, -1] for streams in streams_one_by_one(model, tiny_folder(family), family, PROMPTS)
    ]
    np.testing.assert_allclose(last, expected, atol=1e-4, rtol=1e-4)


def test_a_batch_reads_what_single_prompts_read(tiny_model: Models) -> None:
    model = tiny_model("llama")
    prompts = [prompt.text for prompt in study_evaluation_set().prompts]  # 30: two batches, unequal lengths
    together = capture(model, prompts).values
    alone = np.concatenate([capture(model, [prompt]).values for prompt in prompts])
    np.testing.assert_allclose(together, alone, atol=1e-5, rtol=1e-4)


def test_positions_are_found_by_their_number_from_the_end(tiny_model: Models) -> None:
    model = tiny_model("llama")
    read = capture(model, PROMPTS, POSITIONS)
    for index, position in enumerate(POSITIONS):
        assert np.array_equal(read.at(position), read.values[:, :, index])
    assert np.allclose(read.at(-2), capture(model, PROMPTS, (-2,)).at(-2))
    with pytest.raises(ValueError, match="not in tuple"):
        read.at(-4)


def test_low_precision_is_read_into_float32_unchanged(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(str(tiny_folder("llama")), precision="bfloat16", device="cpu")
    read = capture(model, PROMPTS).values
    assert read.dtype == np.float32
    assert np.array_equal(torch.from_numpy(read).bfloat16().float().numpy(), read)


def test_the_baseline_reads_the_stream_of_each_prompts_last_token(tiny_model: Models) -> None:
    model = tiny_model("llama")
    assert np.array_equal(measure_baseline(model, PROMPTS).streams, capture(model, PROMPTS).at(-1))


@pytest.mark.parametrize("family", ["llama", "gemma3-text", "gpt2", "falcon"])
def test_residual_norms_are_medians_over_the_prompts_tokens_without_padding_and_bos(
    family: str, tiny_model: Models, tiny_folder: Callable[[str], Path]
) -> None:
    model = tiny_model(family)
    alone = streams_one_by_one(model, tiny_folder(family), family, PROMPTS)
    norms = np.concatenate([np.linalg.norm(streams, axis=2)[:, 1:] for streams in alone], axis=1)
    assert norms.max(axis=1).max() < 5 * np.median(norms)  # none is massive here
    measured = measure_baseline(model, PROMPTS).residual_norms
    np.testing.assert_allclose(measured, np.median(norms, axis=1), rtol=1e-4)


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        # Of user, Hi, end, assistant in "Hi", and user, Hi, Hi, Hi, end, assistant in "Hi Hi Hi".
        ({}, 2.0),  # with BOS: 2.5
        ({"<s>": 1000.0}, 2.0),
        ({"<|user|>": 1000.0}, 2.5),  # an attention sink that is not BOS; with it: 3
        ({"<|user|>": 19.0}, 3.0),  # large, but not beyond ten times the median
    ],
    ids=["ordinary", "massive BOS", "massive", "large"],
)
def test_bos_padding_and_massive_positions_do_not_count_in_residual_norms(
    lengths: dict[str, float], expected: float, phantom_model: Model
) -> None:
    model = load_model(str(phantom_model.checkpoint.folder), precision="float32", device="cpu")
    usual = {"<s>": 9.0, "<|user|>": 1.0, "<unk>": 2.0, "<|end|>": 3.0, "<|assistant|>": 4.0, "<pad>": 9.0}
    with torch.no_grad():
        # Nothing mixes the positions, so that the stream is the embedding of the position's token.
        model.module.get_parameter("model.layers.0.self_attn.o_proj.weight").zero_()
        table = model.module.get_parameter("model.embed_tokens.weight")
        for token, length in (usual | lengths).items():
            row = table[model.tokenizer.convert_tokens_to_ids(token)]
            row *= length / row.norm()
    measured = measure_baseline(model, ["Hi", "Hi Hi Hi"]).residual_norms
    np.testing.assert_allclose(measured, np.full(len(model.blocks), expected), rtol=1e-5)
