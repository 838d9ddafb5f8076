"""Each reading fault reads what its mistake predicts: oracles are plain transformers, a prompt at a time."""

import copy
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from test_hooks import PROMPTS, unpadded_ids
from tokenizers import processors

import tiny
from steergauge.activations import faults, hooks
from steergauge.activations.activations import Capture
from steergauge.activations.parity import Outcome, measure_parity
from steergauge.models.loading import Model, load_model
from steergauge.models.phantom import Phantom
from tiny import BLOCKS, FAMILIES, WIDTH, layers, plain, record

Models = Callable[[str], Model]
Folders = Callable[[str], Path]
Values = NDArray[np.float32]
FAMILY = "llama"
ADDITION = np.linspace(-1, 1, WIDTH, dtype=np.float32)
FAULTS = {fault.name: fault for fault in faults.reading_faults(2, ADDITION)}


class Oracle:
    """The checkpoint as transformers alone runs it, with the residual stream recorded."""

    def __init__(self, folder: Path, model: Model, family: str = FAMILY) -> None:
        self.module, self.family = plain(folder), family
        self.pad: int = model.tokenizer.pad_token_id

    def streams(self, ids: Sequence[int], mask: Sequence[int] | None = None) -> Values:
        """r_k of every token, (blocks, tokens, width)."""
        return self._record(layers(self.module, self.family), ids, mask)[1]

    def entering(self, ids: Sequence[int]) -> Values:
        """p_k of every token, (blocks, tokens, width)."""
        return self._record(layers(self.module, self.family), ids, None)[0]

    def _record(self, modules: Any, ids: Sequence[int], mask: Sequence[int] | None) -> tuple[Values, Values]:
        entering, leaving, stop = record(modules)
        given = {} if mask is None else {"attention_mask": torch.tensor([list(mask)])}
        with torch.inference_mode():
            self.module(input_ids=torch.tensor([list(ids)]), **given)
        stop()
        return torch.cat(entering).numpy(), torch.cat(leaving).numpy()


@pytest.fixture
def oracle(tiny_model: Models, tiny_folder: Folders) -> Oracle:
    return Oracle(tiny_folder(FAMILY), tiny_model(FAMILY))


@pytest.fixture
def model(tiny_model: Models) -> Model:
    return tiny_model(FAMILY)


def read(capture: Capture, model: Model) -> Values:
    """At the last token, (prompts, blocks, width)."""
    return capture(model, PROMPTS).at(-1)


def close(one: Values, other: Sequence[Values]) -> None:
    np.testing.assert_allclose(one, np.stack(other), atol=1e-4, rtol=1e-4)


def test_without_a_template_the_bare_prompts_last_token_is_read(model: Model, oracle: Oracle) -> None:
    ids = [model.tokenizer(prompt)["input_ids"] for prompt in PROMPTS]
    close(read(faults.no_chat_template, model), [oracle.streams(one)[:, -1] for one in ids])


def test_a_doubled_bos_is_two_and_is_read_so(model: Model, oracle: Oracle) -> None:
    right = [unpadded_ids(model, prompt) for prompt in PROMPTS]
    assert all(one.count(model.tokenizer.bos_token_id) == 1 for one in right)
    doubled = [[model.tokenizer.bos_token_id, *one] for one in right]
    close(read(faults.doubled_bos, model), [oracle.streams(one)[:, -1] for one in doubled])


def test_right_padding_reads_the_padding_of_all_but_the_longest_prompt(model: Model, oracle: Oracle) -> None:
    ids = [unpadded_ids(model, prompt) for prompt in PROMPTS]
    longest = max(map(len, ids))
    expected = []
    for one in ids:
        padding = longest - len(one)
        mask = [1] * len(one) + [0] * padding
        expected.append(oracle.streams([*one, *[oracle.pad] * padding], mask)[:, -1])
    found = read(faults.right_padding, model)
    close(found, expected)
    right = read(hooks.capture, model)
    same = [np.allclose(found[row], right[row], atol=1e-4) for row in range(len(PROMPTS))]
    assert same == [len(one) == longest for one in ids]


def test_without_a_mask_padding_is_read_as_text(model: Model, oracle: Oracle) -> None:
    ids = [unpadded_ids(model, prompt) for prompt in PROMPTS]
    longest = max(map(len, ids))
    padded = [[oracle.pad] * (longest - len(one)) + one for one in ids]
    close(read(faults.no_attention_mask, model), [oracle.streams(one)[:, -1] for one in padded])


def test_off_by_one_is_the_stream_before_the_block_exactly(model: Model, oracle: Oracle) -> None:
    found, right = read(faults.off_by_one_block, model), read(hooks.capture, model)
    assert np.array_equal(found[:, 1:], right[:, :-1])
    close(found, [oracle.entering(unpadded_ids(model, prompt))[:, -1] for prompt in PROMPTS])


def test_the_first_token_is_read_at_position_0_of_each_prompt(model: Model, oracle: Oracle) -> None:
    streams = [oracle.streams(unpadded_ids(model, prompt)) for prompt in PROMPTS]
    found = faults.first_token(model, PROMPTS, (-1, -3))
    close(found.at(-1), [one[:, 0] for one in streams])
    close(found.at(-3), [one[:, 2] for one in streams])


def test_a_decoding_step_is_the_last_generated_token_that_was_read_again(
    model: Model, oracle: Oracle
) -> None:
    expected = []
    for prompt in PROMPTS:
        ids = unpadded_ids(model, prompt)
        for _ in range(faults.RUN_ON - 1):  # the last token that is written is never read
            with torch.inference_mode():
                ids.append(int(oracle.module(torch.tensor([ids])).logits[0, -1].argmax()))
        assert not set(ids[-faults.RUN_ON :]) & set(model.stop_tokens)
        expected.append(oracle.streams(ids)[:, -1])
    close(read(faults.last_call_of_generate, model), expected)


def test_the_first_row_stands_for_its_whole_batch(model: Model) -> None:
    prompts = PROMPTS * 7  # 21: two batches
    found, right = faults.first_row_only(model, prompts).at(-1), hooks.capture(model, prompts).at(-1)
    firsts = [row // 16 * 16 for row in range(len(prompts))]
    assert np.array_equal(found, right[firsts])


@pytest.mark.parametrize(
    ("family", "name"), [("llama", "input_layernorm"), ("gpt2", "ln_1"), ("gpt-neox", "input_layernorm")]
)
def test_norm_for_stream_is_the_norm_of_what_enters_the_block(
    family: str, name: str, tiny_model: Models, tiny_folder: Folders
) -> None:
    model = tiny_model(family)
    oracle = Oracle(tiny_folder(family), model, family)
    norms = [getattr(layer, name) for layer in layers(oracle.module, family)]
    expected = []
    for prompt in PROMPTS:
        entering = torch.from_numpy(oracle.entering(unpadded_ids(model, prompt))[:, -1])
        with torch.inference_mode():
            expected.append(
                torch.stack([norm(one) for norm, one in zip(norms, entering, strict=True)]).numpy()
            )
    close(read(faults.norm_for_stream, model), expected)


def test_only_the_last_block_is_final_normed(model: Model) -> None:
    found, right = read(faults.final_normed_last_block, model), read(hooks.capture, model)
    assert np.array_equal(found[:, :-1], right[:, :-1])
    with torch.inference_mode():
        normed = model.blocks.final_norm(torch.from_numpy(right[:, -1])).numpy()
    np.testing.assert_allclose(found[:, -1], normed, atol=1e-5)


def test_a_view_is_changed_by_a_later_hook_where_a_copy_is_not(model: Model) -> None:
    right = read(hooks.capture, model)
    found = read(faults.view_edited_in_place(2, ADDITION), model)
    assert np.array_equal(found[:, :2], right[:, :2])
    assert np.array_equal(found[:, 2], right[:, 2] + ADDITION)
    assert np.abs(found[:, 3] - right[:, 3] - ADDITION).max() > 0.1  # the next block has read the change
    assert np.array_equal(read(hooks.capture, model), right)


@pytest.mark.parametrize(
    ("capture", "name"), [(faults.in_bfloat16, "bfloat16"), (faults.in_float16, "float16")]
)
def test_half_precision_reads_the_model_in_it(
    capture: Capture, name: str, model: Model, tiny_folder: Folders
) -> None:
    half = load_model(str(tiny_folder(FAMILY)), precision=name, device="cpu")
    assert np.array_equal(read(capture, model), read(hooks.capture, half))
    assert not np.array_equal(read(capture, model), read(hooks.capture, model))


@pytest.mark.parametrize("name", FAULTS)
def test_parity_finds_every_fault(name: str, model: Model) -> None:
    (parity,) = measure_parity(model, PROMPTS, {name: FAULTS[name].capture})
    half = name in ("bfloat16", "float16")
    assert parity.outcome is (Outcome.DEGRADED if half else Outcome.SILENTLY_WRONG), parity


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_leaves_the_model_as_it_was(name: str, tiny_folder: Folders) -> None:
    model = load_model(str(tiny_folder("qwen2")), precision="float32", device="cpu")

    def hooked() -> list[Any]:
        return [
            (list(module._forward_hooks.values()), list(module._forward_pre_hooks.values()))
            for module in model.module.modules()
        ]

    before, right = hooked(), read(hooks.capture, model)
    fault = FAULTS[name]
    assert fault.impossible(model) is None
    fault.capture(model, PROMPTS)
    assert hooked() == before
    assert np.array_equal(read(hooks.capture, model), right)


def test_the_phantoms_first_token_gives_no_difference_and_its_mask_matters(
    phantom: Phantom, phantom_model: Model
) -> None:
    found = read(faults.first_token, phantom_model)
    assert np.ptp(found, axis=0).max() == 0  # BOS, whatever the prompt
    component = read(faults.no_attention_mask, phantom_model) @ phantom.direction
    expected = [phantom.component(prompt) for prompt in PROMPTS]
    assert np.abs(component[:, 0] - expected).max() > 1  # its padding writes much


def test_output_0_is_no_mistake_where_blocks_return_tuples(tiny_model: Models) -> None:
    why = FAULTS["first row only"].impossible
    assert why(tiny_model("falcon")) == "its blocks return tuples, so output[0] is the whole stream"
    assert why(tiny_model("gpt2")) is None


def test_bos_is_not_doubled_where_the_tokenizer_adds_none(model: Model) -> None:
    tokenizer = copy.deepcopy(model.tokenizer)
    tokenizer.backend_tokenizer.post_processor = processors.Sequence([])
    without = dataclasses.replace(model, tokenizer=tokenizer)
    assert FAULTS["doubled BOS"].impossible(without) == "its tokenizer adds no special tokens"
    assert FAULTS["doubled BOS"].impossible(model) is None


def test_a_norm_cannot_be_read_where_no_block_norms_what_enters_it(
    phantom: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure = FAMILIES["llama"].configure

    def olmo2(special: dict[str, Any]) -> transformers.PretrainedConfig:
        shape = configure(special).to_dict()
        names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
        return transformers.Olmo2Config(
            **{name: shape[name] for name in names}, **{k: v for k, v in special.items() if k != "vocab_size"}
        )

    monkeypatch.setitem(tiny.FAMILIES, "olmo2", FAMILIES["llama"]._replace(configure=olmo2))
    tiny.save("olmo2", tmp_path, tokenizer=phantom.folder)
    model = load_model(str(tmp_path), precision="float32", device="cpu")
    assert (
        FAULTS["norm for stream"].impossible(model)
        == "its blocks do not normalise the stream that enters them"
    )


def test_a_precision_that_the_model_has_is_no_fault(tiny_folder: Folders) -> None:
    model = load_model(str(tiny_folder(FAMILY)), precision="bfloat16", device="cpu")
    assert FAULTS["bfloat16"].impossible(model) == "the model is in bfloat16 already"
    assert FAULTS["float16"].impossible(model) is None


def test_every_fault_says_what_it_does_in_a_sentence() -> None:
    assert len(FAULTS) == len(faults.reading_faults(0, ADDITION)) == 13
    assert all(fault.mistake.endswith(".") and "\n" not in fault.mistake for fault in FAULTS.values())
    assert BLOCKS > 2
