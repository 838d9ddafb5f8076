import unicodedata
from pathlib import Path

import gguf as gguf_format
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.convert_slow_tokenizer import bytes_to_unicode

from steergauge.errors import SteergaugeError
from steergauge.models import gguf

WIDTH, HEADS, INNER, BLOCKS = 64, 4, 128, 2
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def write_tiny_llama(
    path: Path, *, pre: str = "smollm", quantised: bool = False, template: str | None = TEMPLATE
) -> dict[str, np.ndarray]:
    """A Llama of two blocks with a byte-level vocabulary, as llama.cpp's converter would write it."""
    alphabet = list(bytes_to_unicode().values())  # type: ignore[no-untyped-call]
    merges = ["Ċ Ċ", "h i", "Ġ hi"]
    tokens = SPECIAL + alphabet + [merge.replace(" ", "") for merge in merges]
    writer = gguf_format.GGUFWriter(path, "llama")
    writer.add_block_count(BLOCKS)
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(7 if quantised else 0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    if template is not None:
        writer.add_chat_template(template)
    random = np.random.default_rng(0)
    shapes = {"token_embd": (len(tokens), WIDTH), "output_norm": (WIDTH,)}
    for block in range(BLOCKS):
        prefix = f"blk.{block}."
        shapes |= {prefix + name: (WIDTH,) for name in ("attn_norm", "ffn_norm")}
        shapes |= {prefix + f"attn_{name}": (WIDTH, WIDTH) for name in ("q", "k", "v", "output")}
        shapes |= {prefix + name: (INNER, WIDTH) for name in ("ffn_gate", "ffn_up")}
        shapes[prefix + "ffn_down"] = (WIDTH, INNER)
    values = {}
    for name, shape in shapes.items():
        value = random.normal(0, 0.1, shape).astype(np.float32)
        values[name] = value
        if quantised and len(shape) == 2:
            kind = gguf_format.GGMLQuantizationType.Q8_0
            writer.add_tensor(name + ".weight", gguf_format.quantize(value, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name + ".weight", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return values


def convert(path: Path, target: Path) -> list[str]:
    said: list[str] = []
    gguf.convert(path, target, manifest={"source": "a test"}, progress=said.append)
    return said


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    folder = tmp_path_factory.mktemp("tiny")
    values = write_tiny_llama(folder / "tiny.gguf")
    convert(folder / "tiny.gguf", folder / "converted")
    return folder / "converted", values


def test_the_converted_folder_holds_the_weights_of_the_file_in_float32(
    tiny: tuple[Path, dict[str, np.ndarray]],
) -> None:
    folder, values = tiny
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    state = model.state_dict()
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}
    names = {"token_embd": "embed_tokens", "output_norm": "norm", "blk.1.ffn_down": "layers.1.mlp.down_proj"}
    for stored, ours in names.items():
        torch.testing.assert_close(state[f"model.{ours}.weight"], torch.from_numpy(values[stored]))
    # llama.cpp stores the two rotary halves of each head interleaved.
    halves = values["blk.0.attn_q"].reshape(HEADS, WIDTH // HEADS // 2, 2, WIDTH).swapaxes(1, 2)
    query = torch.from_numpy(halves.reshape(WIDTH, WIDTH).copy())
    torch.testing.assert_close(state["model.layers.0.self_attn.q_proj.weight"], query)


def test_the_output_head_stays_tied_to_the_embedding_when_the_file_has_none(
    tiny: tuple[Path, dict[str, np.ndarray]],
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny[0], local_files_only=True)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert not hasattr(model.config, "quantization_config")


def test_special_tokens_are_single_and_the_template_is_kept(
    tiny: tuple[Path, dict[str, np.ndarray]],
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny[0], local_files_only=True)
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True
    )
    assert rendered == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    ids = tokenizer(rendered).input_ids
    assert ids[0] == 1
    assert ids.count(1) == 2
    assert ids.count(2) == 1
    assert tokenizer.decode(ids) == rendered


def test_answers_end_at_the_end_of_turn_and_at_the_end_of_text(
    tiny: tuple[Path, dict[str, np.ndarray]],
) -> None:
    assert GenerationConfig.from_pretrained(tiny[0]).eos_token_id == [2, 0]


def test_digits_are_split_off_before_blank_lines_are_joined_as_smollm_does(
    tiny: tuple[Path, dict[str, np.ndarray]],
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny[0], local_files_only=True)
    assert tokenizer.tokenize("hi\n\n12") == ["hi", "ĊĊ", "1", "2"]


def test_accents_are_composed_as_qwen_does_and_no_template_is_invented(tmp_path: Path) -> None:
    write_tiny_llama(tmp_path / "base.gguf", pre="qwen2", template=None)
    convert(tmp_path / "base.gguf", tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out", local_files_only=True)
    assert tokenizer(unicodedata.normalize("NFD", "é")).input_ids == tokenizer("é").input_ids
    assert tokenizer.chat_template is None


def test_the_quantisation_is_read_from_the_file(
    tiny: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    write_tiny_llama(tmp_path / "q8.gguf", quantised=True)
    said = convert(tmp_path / "q8.gguf", tmp_path / "out")
    quantised, full = gguf.read_manifest(tmp_path / "out"), gguf.read_manifest(tiny[0])
    assert quantised is not None
    assert quantised["quantization"] == "Q8_0"
    assert full is not None
    assert full["quantization"] is None
    assert any(line.startswith("dequantised ") for line in said)


def test_a_tokenizer_that_lies_beside_the_file_is_not_taken_for_its_own(tmp_path: Path) -> None:
    write_tiny_llama(tmp_path / "tiny.gguf")
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "config.json").write_text("{}")
    convert(tmp_path / "tiny.gguf", tmp_path / "out")
    assert AutoTokenizer.from_pretrained(tmp_path / "out").tokenize(" hi") == ["Ġhi"]


def test_an_interrupted_conversion_leaves_nothing_usable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_llama(tmp_path / "tiny.gguf")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gguf, "_quantization", interrupt)
    with pytest.raises(KeyboardInterrupt):
        convert(tmp_path / "tiny.gguf", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.gguf"]


def test_a_folder_that_lost_a_file_is_not_whole(tmp_path: Path) -> None:
    write_tiny_llama(tmp_path / "tiny.gguf")
    convert(tmp_path / "tiny.gguf", tmp_path / "out")
    assert gguf.read_manifest(tmp_path / "out") is not None
    (tmp_path / "out" / "model.safetensors").write_bytes(b"cut short")
    assert gguf.read_manifest(tmp_path / "out") is None


@pytest.mark.parametrize("kept", [10, 2000, -3000])
def test_a_file_cut_short_is_one_line(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "tiny.gguf"
    write_tiny_llama(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SteergaugeError, match=r"is not a whole GGUF file"):
        convert(path, tmp_path / "out")


def test_an_architecture_unknown_to_transformers_is_one_line(tmp_path: Path) -> None:
    writer = gguf_format.GGUFWriter(tmp_path / "odd.gguf", "jais")
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["a"])
    writer.add_tensor("token_embd.weight", np.zeros((1, 32), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(SteergaugeError, match=r"transformers cannot read .*odd.gguf: .*jais"):
        convert(tmp_path / "odd.gguf", tmp_path / "out")
