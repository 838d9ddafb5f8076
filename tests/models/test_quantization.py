"""Every quantisation quantises the linear layers of the blocks, all of them and nothing else, or says why not."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model, load_model
from steergauge.models.phantom import Phantom
from steergauge.models.quantizations import QUANTIZATIONS, resolve_format
from steergauge.models.quantize import count_quantized, quantize_blocks
from tiny import BLOCKS, plain

Models = Callable[[str], Model]
Folders = Callable[[str], Path]

WIDE = "qwen2-wide"
SHAPES = {  # (outputs, inputs) of a block's layers: width 64, 4 heads and 2 key-value heads of 16, MLP of 128
    "self_attn.q_proj": (64, 64),
    "self_attn.k_proj": (32, 64),
    "self_attn.v_proj": (32, 64),
    "self_attn.o_proj": (64, 64),
    "mlp.gate_proj": (128, 64),
    "mlp.up_proj": (128, 64),
    "mlp.down_proj": (64, 128),
}
WEIGHTS = BLOCKS * sum(outputs * inputs for outputs, inputs in SHAPES.values())


class Grid(NamedTuple):
    """Of a format: weights in a group (None: a row), its levels, and the largest error as a share of max |w|."""

    group: int | None
    levels: int
    error: float


GRIDS = {
    "int8-bitsandbytes": Grid(None, 255, 0.5 / 127),
    "nf4-bitsandbytes": Grid(
        64, 16, (1 - 0.6961928) / 2
    ),  # between its two lowest levels, as QLoRA prints them
    "fp4-bitsandbytes": Grid(64, 16, (1 - 2 / 3) / 2),  # between its two largest
    "int8-torchao": Grid(None, 256, 0.5 / 127),
    "int4-torchao": Grid(32, 16, 1 / 7.5),  # the largest weight may lie half a level beyond the last one
    "gguf-q8_0": Grid(32, 255, 0.5 / 127),
    "gguf-q5_1": Grid(32, 32, 1 / 31),  # from the smallest to the largest, at most 2 max |w|
    "gguf-q5_0": Grid(32, 32, 1 / 16),
    "gguf-q4_1": Grid(32, 16, 1 / 15),
    "gguf-q4_0": Grid(32, 16, 1 / 8),
}
HALF_PRECISION = 0.002  # scales and smallest weights, or the weights themselves, go through float16
every_quantization = pytest.mark.parametrize("name", QUANTIZATIONS)


def layers(model: nn.Module) -> dict[str, nn.Module]:
    """The linear layers of the blocks, by the paths that Qwen2's source code says."""
    return {
        f"{block}.{path}": model.get_submodule(f"model.layers.{block}.{path}")
        for block in range(BLOCKS)
        for path in SHAPES
    }


@torch.inference_mode()
def multiplies_by(layer: nn.Module) -> NDArray[np.float64]:
    """The weights that a layer multiplies by, read from what it makes of the unit vectors: (outputs, inputs)."""
    inputs: Any = layer.in_features
    unit, zero = torch.eye(inputs)[None], torch.zeros(1, inputs, inputs)
    weights: NDArray[np.float64] = (layer(unit) - layer(zero))[0].T.double().numpy()
    return weights


def groups(weights: NDArray[np.float64], size: int | None) -> NDArray[np.float64]:
    return weights.reshape(-1, size or weights.shape[1])


def test_the_table_has_a_grid_for_every_quantization() -> None:
    assert list(GRIDS) == list(QUANTIZATIONS)


@every_quantization
def test_every_layer_multiplies_by_the_nearest_weights_of_the_format(
    name: str, quantized_model: Models, tiny_folder: Folders
) -> None:
    grid = GRIDS[name]
    full = layers(plain(tiny_folder(WIDE)))
    for path, layer in layers(quantized_model(name).module).items():
        before: Any = full[path].weight
        original = before.detach().double().numpy()
        rounded = multiplies_by(layer)
        assert rounded.shape == original.shape
        sizes = np.abs(groups(original, grid.group)).max(axis=1, keepdims=True)
        apart = np.abs(groups(rounded - original, grid.group)) / sizes
        assert apart.max() <= grid.error + HALF_PRECISION
        assert np.median(apart) > 0.0005  # not the full weights
        # The product of LLM.int8 goes through a rounded constant.
        steps = np.diff(np.sort((groups(rounded, grid.group) / sizes).round(5), axis=1), axis=1)
        assert 1 + (steps > 0).sum(axis=1).max() <= grid.levels


@every_quantization
def test_all_else_is_as_it_was(name: str, quantized_model: Models, tiny_folder: Folders) -> None:
    model = quantized_model(name)
    quantized = {id(layer) for layer in layers(model.module).values()}
    before = dict(plain(tiny_folder(WIDE)).named_parameters())
    left = {
        f"{path}.{weight}": value
        for path, module in model.module.named_modules()
        for weight, value in module.named_parameters(recurse=False)
        if id(module) not in quantized or weight == "bias"
    }
    assert {path for path in before if path not in left} == {
        f"model.layers.{path}.weight" for path in layers(model.module)
    }
    for path, weight in left.items():
        assert torch.equal(weight, before[path]), path
    assert not any(module.training for module in model.module.modules())
    assert not any(weight.requires_grad for weight in model.module.parameters())


# Of a weight: its bits in memory with its share of the scales, of which a row of 64 or of 128 has one.
BITS = {
    "nf4-bitsandbytes": 4 + 32 / 64,
    "fp4-bitsandbytes": 4 + 32 / 64,
    "int4-torchao": 8 + (32 + 8) / 32,  # a byte each, a float32 scale and a zero point a group
} | {name: 32.0 for name in QUANTIZATIONS if name.startswith("gguf")}
ROWS = BLOCKS * sum(outputs for outputs, _ in SHAPES.values())
BYTES = {name: WEIGHTS * bits / 8 for name, bits in BITS.items()} | {
    "int8-bitsandbytes": WEIGHTS + 4 * ROWS,
    "int8-torchao": WEIGHTS + 5 * ROWS,
}


@every_quantization
def test_what_was_quantized_is_counted(name: str, quantized_model: Models, tiny_folder: Folders) -> None:
    found = quantized_model(name).quantized
    assert found is not None
    assert found.quantization is QUANTIZATIONS[name]
    assert (found.layers, found.weights) == (BLOCKS * len(SHAPES), WEIGHTS)
    assert found.of_weights == sum(weight.numel() for weight in plain(tiny_folder(WIDE)).parameters())
    assert found.bytes == BYTES[name]
    assert found.computes_in == (
        "int8, activations of 6 and more in float32" if name == "int8-bitsandbytes" else "float32"
    )


def test_a_model_in_full_says_nothing_of_quantization(tiny_model: Models) -> None:
    assert tiny_model("qwen2").quantized is None


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("int8-bitsandbytes", {"load_in_8bit": True}),
        (
            "nf4-bitsandbytes",
            {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.float32},
        ),
        (
            "fp4-bitsandbytes",
            {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4", "bnb_4bit_compute_dtype": torch.float32},
        ),
    ],
)
def test_bitsandbytes_weights_are_those_that_transformers_itself_loads(
    name: str, options: dict[str, Any], quantized_model: Models, tiny_folder: Folders
) -> None:
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    load: Any = AutoModelForCausalLM.from_pretrained
    configuration = BitsAndBytesConfig(**options)  # type: ignore[no-untyped-call]
    theirs = layers(
        load(tiny_folder(WIDE), dtype=torch.float32, quantization_config=configuration, device_map="cpu")
    )
    for path, layer in layers(quantized_model(name).module).items():
        ours: Any = layer
        other: Any = theirs[path]
        assert type(ours) is type(other)
        assert torch.equal(ours.weight.data, other.weight.data)
        if name == "int8-bitsandbytes":
            assert ours.state.threshold == other.state.threshold
            assert torch.equal(ours.state.SCB, other.weight.SCB)
        else:
            assert torch.equal(ours.weight.quant_state.absmax, other.weight.quant_state.absmax)


def test_llm_int8_rounds_the_activations_too_but_for_the_outliers(quantized_model: Models) -> None:
    layer = layers(quantized_model("int8-bitsandbytes").module)["1.mlp.down_proj"]
    weights = torch.from_numpy(multiplies_by(layer)).float()
    drawn = torch.randn(8, 128, generator=torch.Generator().manual_seed(1)).clamp(-5.5, 5.5)

    def off(inputs: Tensor) -> float:
        with torch.inference_mode():
            exact = inputs @ weights.T
            return float(((layer(inputs[None])[0] - exact).norm() / exact.norm()).item())

    assert 0.002 < off(drawn) < 0.02
    assert off(6 + drawn.abs()) < 1e-3  # every column is an outlier's
    row = torch.full((8, 128), 0.013)
    beside = row.clone()
    beside[1] = drawn[1] + 6  # an outlier in one row takes its column apart in the others
    with torch.inference_mode():
        assert not torch.equal(layer(row[None])[0, 0], layer(beside[None])[0, 0])


def test_4_bits_compute_in_what_was_asked_where_the_processor_has_bfloat16(
    quantized_model: Models, tiny_folder: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bitsandbytes.nn.modules

    monkeypatch.setattr(bitsandbytes.nn.modules, "has_avx512bf16", lambda: True)
    model = load_model(str(tiny_folder(WIDE)), precision="nf4-bitsandbytes/float32", device="cpu")
    expected = layers(quantized_model("nf4-bitsandbytes").module)
    for path, layer in layers(model.module).items():
        np.testing.assert_array_equal(multiplies_by(layer), multiplies_by(expected[path]))


def test_4_bits_packed_for_bfloat16_are_refused(tiny_folder: Folders) -> None:
    model = load_model(str(tiny_folder(WIDE)), precision="nf4-bitsandbytes/float32", device="cpu")
    packed: Any = layers(model.module)["2.mlp.up_proj"]
    packed.weight.quant_state.packing_format_for_cpu = True
    with pytest.raises(SteergaugeError, match="computes nf4-bitsandbytes in bfloat16 on this processor"):
        QUANTIZATIONS["nf4-bitsandbytes"].stored(packed)


@every_quantization
def test_a_layer_of_zeros_gives_zeros(name: str) -> None:
    layer = nn.Linear(64, 32, bias=False)
    nn.init.zeros_(layer.weight)
    quantized = QUANTIZATIONS[name].quantize(layer.requires_grad_(False), "cpu")
    with torch.inference_mode():
        assert torch.equal(quantized(torch.randn(1, 3, 64)), torch.zeros(1, 3, 32))
        assert torch.equal(quantized(torch.zeros(1, 3, 64)), torch.zeros(1, 3, 32))


@pytest.mark.parametrize(
    ("name", "precision"),
    [(name, "bfloat16") for name in QUANTIZATIONS if name not in ("gguf-q5_1", "gguf-q5_0", "gguf-q4_1")]
    + [("int8-bitsandbytes", "float16"), ("nf4-bitsandbytes", "float16"), ("int4-torchao", "float16")],
)
def test_the_stream_is_in_the_precision_after_the_slash(
    name: str, precision: str, tiny_folder: Folders
) -> None:
    model = load_model(str(tiny_folder(WIDE)), precision=f"{name}/{precision}", device="cpu")
    assert model.precision == precision
    seen = []
    for block in model.blocks.modules:
        block.register_forward_hook(lambda _module, _inputs, output: seen.append(output.dtype))
    encoding = model.template.encode(["Hello"], "cpu")
    logits = model.forward(encoding["input_ids"], encoding["attention_mask"])
    assert {*seen, logits.dtype} == {model.precision.dtype}
    assert len(seen) == BLOCKS
    assert model.quantized is not None
    assert model.quantized.computes_in.endswith(precision)


def test_without_a_slash_the_precision_is_that_of_auto() -> None:
    assert resolve_format("gguf-q4_0", "cpu").precision is resolve_format("auto", "cpu").precision
    assert resolve_format("gguf-q4_0", "cpu").quantization is QUANTIZATIONS["gguf-q4_0"]
    assert resolve_format("float16", "cpu").quantization is None


def test_a_fingerprint_tells_the_quantizations_their_libraries_and_their_precisions_apart(
    quantized_model: Models, tiny_folder: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fingerprint(precision: str) -> str:
        return load_model(str(tiny_folder(WIDE)), precision=precision, device="cpu").fingerprint

    q4 = fingerprint("gguf-q4_0/float32")
    assert q4 == quantized_model("gguf-q4_0").fingerprint
    different = {quantized_model(name).fingerprint for name in QUANTIZATIONS}
    different |= {fingerprint("float32"), fingerprint("gguf-q4_0/float16")}
    assert len(different) == len(QUANTIZATIONS) + 2
    monkeypatch.setattr("steergauge.models.quantization.version", lambda package: "another")
    assert fingerprint("gguf-q4_0/float32") not in different


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            "nf4",
            "no precision 'nf4'; known: auto, float32, bfloat16, float16, int8-bitsandbytes, nf4-bitsandbytes",
        ),
        ("nf4-bitsandbits", "no precision 'nf4-bitsandbits'; did you mean nf4-bitsandbytes"),
        ("int4", "no precision 'int4'"),
        ("nf4-bitsandbytes/float23", "no precision 'float23'; did you mean float32"),
        ("nf4-bitsandbytes/", "no precision ''"),
        ("float32/float16", "no precision 'float32/float16'"),
        ("gguf-q4_k", "no precision 'gguf-q4_k'; did you mean gguf-q4_"),
    ],
)
def test_an_unknown_format_is_named_with_the_near_ones(asked: str, message: str, phantom: Phantom) -> None:
    with pytest.raises(SteergaugeError) as error:
        load_model(str(phantom.folder), precision=asked, device="cpu")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [name for name in QUANTIZATIONS if not name.startswith("gguf")])
def test_a_device_that_a_format_does_not_run_on_is_refused(name: str) -> None:
    with pytest.raises(SteergaugeError, match=f"{name} does not run on mps, only on cpu and cuda"):
        resolve_format(name, "mps")
    assert resolve_format("gguf-q4_0", "mps").quantization is not None


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("int8-bitsandbytes", "bitsandbytes", "bitsandbytes"),
        ("nf4-bitsandbytes", "bitsandbytes", "bitsandbytes"),
        ("int4-torchao", "torchao", "torchao"),
    ],
)
def test_an_extra_that_is_not_installed_is_named_before_any_weights_are_read(
    name: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SteergaugeError, match=rf"{name} needs .*pip install 'steergauge\[{extra}\]'"):
        load_model("there is no such model", precision=name, device="cpu")


@pytest.mark.parametrize(
    ("family", "name", "message"),
    [
        ("qwen2", "nf4-bitsandbytes", r"layers\.0\.self_attn\.q_proj has 32 inputs, .* a multiple of 64"),
        ("qwen2", "int4-torchao", r"layers\.0\.mlp\.down_proj has 48 inputs, .* a multiple of 32"),
        ("qwen2", "gguf-q4_0", r"layers\.0\.mlp\.down_proj has 48 inputs, .* a multiple of 32"),
        ("gpt2", "int8-torchao", r"h\.0\.attn\.c_attn keeps its weights in Conv1D"),
        ("falcon", "int8-torchao", r"keeps its weights in FalconLinear"),
        ("qwen3-moe", "int8-bitsandbytes", r"keeps its weights in Qwen3Moe\w+, not in a linear layer"),
    ],
)
def test_layers_that_cannot_be_quantized_are_refused_with_their_place(
    family: str, name: str, message: str, tiny_folder: Folders
) -> None:
    with pytest.raises(SteergaugeError, match=message) as error:
        load_model(str(tiny_folder(family)), precision=name, device="cpu")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("family", ["llama", "gemma2", "gemma3-wrapper", "phi3", "opt", "gpt-neox"])
def test_families_with_plain_linear_layers_are_quantized(family: str, tiny_folder: Folders) -> None:
    model = load_model(str(tiny_folder(family)), precision="int8-torchao/float32", device="cpu")
    assert model.quantized is not None
    assert model.quantized.layers >= 4 * BLOCKS
    assert model.quantized.weights < model.quantized.of_weights


@pytest.mark.parametrize("name", ["int8-bitsandbytes", "nf4-bitsandbytes", "int4-torchao", "gguf-q4_0"])
def test_a_layer_that_was_left_in_full_is_found(name: str, tiny_folder: Folders) -> None:
    model = load_model(str(tiny_folder(WIDE)), precision="float32", device="cpu")
    quantization = QUANTIZATIONS[name]
    left: Any = SimpleNamespace(
        name=name, group=1, quantize=lambda linear, device: _but_keys(linear, device, quantization)
    )
    quantize_blocks(model.module, model.blocks, left, "cpu")
    with pytest.raises(SteergaugeError, match=rf"layers\.0\.self_attn\.k_proj of .* is not in {name}"):
        count_quantized(model.module, model.blocks, quantization, model.precision, of_weights=0)


def _but_keys(linear: nn.Linear, device: str, quantization: Any) -> nn.Linear:
    keys = linear.out_features == 32  # and values
    quantized: nn.Linear = linear if keys else quantization.quantize(linear, device)
    return quantized


def test_a_checkpoint_that_lacks_weights_is_refused_before_it_is_quantized(
    tiny_folder: Folders, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_folder(WIDE), tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.2.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SteergaugeError, match="lacks 1 weights"):
        load_model(str(folder), precision="gguf-q4_0", device="cpu")
