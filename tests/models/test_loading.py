import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import DynamicCache

from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model, load_model
from steergauge.models.phantom import Phantom
from tiny import FAMILIES, plain

ECHO = "{{ bos_token }}{% for m in messages %}{{ m.content }}<|end|>{% endfor %}"
PROMPTS = ["Tell me a joke", "How do I bake a good chocolate cake at home for my friends?", "Hello"]


@pytest.fixture
def folder(phantom: Phantom, tmp_path: Path) -> Path:
    """A phantom's folder that the test may change."""
    return shutil.copytree(phantom.folder, tmp_path / "model")


def change_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def forget_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def test_a_prompt_holds_one_bos_where_the_tokenizer_would_add_a_second(phantom_model: Model) -> None:
    bos = phantom_model.tokenizer.bos_token_id
    ids = phantom_model.template.encode(PROMPTS, "cpu")["input_ids"]
    assert (ids == bos).sum(dim=1).tolist() == [1] * len(PROMPTS)
    rendered = phantom_model.template.render(PROMPTS[0])
    assert phantom_model.tokenizer(rendered)["input_ids"].count(bos) == 2


def test_prompts_are_padded_on_the_left(phantom_model: Model) -> None:
    encoding = phantom_model.template.encode(PROMPTS, "cpu")
    for prompt, ids, mask in zip(PROMPTS, encoding["input_ids"], encoding["attention_mask"], strict=True):
        alone = phantom_model.template.encode([prompt], "cpu")["input_ids"][0].tolist()
        padding = len(ids) - len(alone)
        assert mask.tolist() == [0] * padding + [1] * len(alone)
        assert ids.tolist() == [phantom_model.tokenizer.pad_token_id] * padding + alone


def test_a_prompt_is_one_user_message_with_the_generation_prompt(phantom_model: Model) -> None:
    assert phantom_model.template.render("Hi") == "<s><|user|>Hi<|end|><|assistant|>"


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{{ raise_exception('system first') }}", "cannot render the role 'user' (system first)"),
        ("{% for %}", "cannot render the role 'user'"),
        ("{{ messages[0].content.nothing.at_all }}", "cannot render the role 'user'"),
        ("Hello", "does not render the message of the role 'user'"),
        ("{% for m in messages if m.role == 'system' %}{{ m.content }}{% endfor %}", "does not render"),
    ],
)
def test_a_template_that_fails_or_loses_the_message_is_refused_with_a_way_out(
    template: str, complaint: str, phantom: Phantom
) -> None:
    with pytest.raises(SteergaugeError) as error:
        load_model(str(phantom.folder), template=template)
    assert complaint in str(error.value)
    assert "--template" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_base_model_without_a_template_needs_one_to_be_given(folder: Path) -> None:
    forget_template(folder)
    with pytest.raises(SteergaugeError, match=r"has no chat template.*--template FILE"):
        load_model(str(folder))
    model = load_model(str(folder), template=ECHO)
    assert model.template.render("Hi") == "<s>Hi<|end|>"


def test_a_template_given_takes_the_place_of_the_checkpoints_own(phantom: Phantom) -> None:
    assert load_model(str(phantom.folder), template=ECHO).template.render("Hi") == "<s>Hi<|end|>"


@pytest.mark.parametrize(
    "today",
    [
        "{{ strftime_now('%d %b %Y') }}",
        "{% if date_string is not defined %}{{ 1 / 0 }}{% endif %}{{ date_string }}",
    ],
)
@pytest.mark.parametrize("opening", ["", "\n", "- "])
def test_a_template_that_prints_the_date_prints_the_same_one_every_day(
    opening: str, today: str, phantom: Phantom
) -> None:
    template = opening + today + ": {{ messages[0].content }}"
    rendered = load_model(str(phantom.folder), template=template).template.render("Hi")
    assert rendered == opening + "26 Jul 2024: Hi"
    assert str(datetime.now().year) not in rendered


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "flaot32"}, "no precision 'flaot32'; did you mean float32"),
        ({"precision": "int4"}, "no precision 'int4'"),
        ({"device": "cud"}, "no device 'cud'; did you mean cuda"),
        ({"device": "tpu"}, "no device 'tpu'"),
    ],
)
def test_an_unknown_precision_or_device_is_named_with_the_near_ones(
    options: dict[str, str], message: str, phantom: Phantom
) -> None:
    with pytest.raises(SteergaugeError, match=message):
        load_model(str(phantom.folder), **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is here")
def test_a_device_that_is_not_there_is_refused(phantom: Phantom) -> None:
    with pytest.raises(SteergaugeError, match="'cuda:1' is not on this machine"):
        load_model(str(phantom.folder), device="cuda:1")


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_weights_are_in_the_precision_that_was_asked_for(precision: str, phantom: Phantom) -> None:
    model = load_model(str(phantom.folder), precision=precision, device="cpu")
    assert {weight.dtype for weight in model.module.parameters()} == {getattr(torch, precision)}
    assert model.precision == precision
    assert not model.module.training


def test_a_fingerprint_is_the_same_in_another_process(phantom: Phantom, phantom_model: Model) -> None:
    code = (
        "import sys; from steergauge.models.loading import load_model; "
        "print(load_model(sys.argv[1], precision='float32', device='cpu').fingerprint)"
    )
    again = subprocess.run(
        [sys.executable, "-c", code, str(phantom.folder)], check=True, capture_output=True, text=True
    )
    assert again.stdout.strip() == phantom_model.fingerprint


def test_a_fingerprint_changes_with_precision_template_weights_and_tokenizer(
    phantom_model: Model, phantom: Phantom, tmp_path: Path
) -> None:
    def other(name: str) -> Path:
        return shutil.copytree(phantom.folder, tmp_path / name)

    moved = other("moved")
    weights = other("weights")
    tensors = load_file(weights / "model.safetensors")
    tensors["model.norm.weight"][0] += 1e-3
    save_file(tensors, weights / "model.safetensors", metadata={"format": "pt"})
    tokenizer = other("tokenizer")
    vocabulary = json.loads((tokenizer / "tokenizer.json").read_text())
    words = vocabulary["model"]["vocab"]
    words["▁joke"], words["▁cake"] = words["▁cake"], words["▁joke"]
    (tokenizer / "tokenizer.json").write_text(json.dumps(vocabulary))

    def fingerprint(folder: Path, precision: str = "float32", template: str | None = None) -> str:
        return load_model(str(folder), precision=precision, template=template, device="cpu").fingerprint

    assert fingerprint(moved) == phantom_model.fingerprint
    different = {
        phantom_model.fingerprint,
        fingerprint(phantom.folder, precision="bfloat16"),
        fingerprint(phantom.folder, template=ECHO),
        fingerprint(weights),
        fingerprint(tokenizer),
    }
    assert len(different) == 5


@pytest.mark.parametrize(
    ("configured", "expected"), [([7, 2], (2, 7)), (5, (5,)), (None, (2,))], ids=["several", "one", "none"]
)
def test_replies_stop_at_every_token_that_the_generation_config_lists(
    configured: object, expected: tuple[int, ...], folder: Path
) -> None:
    change_json(folder / "generation_config.json", eos_token_id=configured)
    assert load_model(str(folder)).stop_tokens == expected


def test_a_checkpoint_that_lacks_weights_is_not_filled_with_random_ones(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.2.mlp.up_proj.weight"], tensors["model.layers.4.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SteergaugeError, match=r"lacks 2 weights, the first model\.layers\.2\.mlp\.up_proj"):
        load_model(str(folder))


def cut_short(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def reshape(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.2.mlp.up_proj.weight"] = torch.zeros(3, 4)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def make_encoder_decoder(folder: Path) -> None:
    change_json(folder / "config.json", model_type="t5", architectures=["T5ForConditionalGeneration"])


def forget_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_short, "not a decoder that transformers can load"),
        (reshape, "not a decoder that transformers can load"),
        (make_encoder_decoder, "not a decoder that transformers can load"),
        (forget_tokenizer, "has no tokenizer that transformers can load"),
    ],
)
def test_a_folder_that_transformers_cannot_load_is_one_line(
    damage: Callable[[Path], None], message: str, folder: Path
) -> None:
    damage(folder)
    with pytest.raises(SteergaugeError, match=message) as error:
        load_model(str(folder))
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_of_a_padded_row_are_those_of_the_row_alone_at_the_prefill_and_after(
    family: str, tiny_model: Callable[[str], Model], tiny_folder: Callable[[str], Path]
) -> None:
    model, oracle = tiny_model(family), plain(tiny_folder(family))
    encoding = model.template.encode(PROMPTS, "cpu")
    mask = encoding["attention_mask"]
    following = torch.tensor([[20], [30], [40]])
    cache = DynamicCache(config=model.module.config)
    with torch.inference_mode():
        first = model.forward(encoding["input_ids"], mask, cache)
        second = model.forward(following, torch.cat([mask, torch.ones(3, 1, dtype=mask.dtype)], dim=1), cache)
    assert first.shape == second.shape == (3, len(model.tokenizer))
    for row, prompt in enumerate(PROMPTS):
        alone: Tensor = model.template.encode([prompt], "cpu")["input_ids"]
        with torch.inference_mode():
            logits = oracle(torch.cat([alone, following[row : row + 1]], dim=1)).logits[0]
        torch.testing.assert_close(first[row], logits[-2], atol=2e-4, rtol=1e-4)
        torch.testing.assert_close(second[row], logits[-1], atol=2e-4, rtol=1e-4)


def test_a_long_prompts_last_states_reach_the_output_head_in_one_piece(phantom_model: Model) -> None:
    seen: list[Tensor] = []
    head = phantom_model.module.get_output_embeddings()  # type: ignore[no-untyped-call]
    handle = head.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    encoding = phantom_model.template.encode(PROMPTS, "cpu")
    try:
        phantom_model.forward(encoding["input_ids"], encoding["attention_mask"])
    finally:
        handle.remove()
    assert seen[0].is_contiguous()
    assert seen[0].shape[1] == 1
