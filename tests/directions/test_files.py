import json
import logging
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter
from safetensors import safe_open
from safetensors.numpy import save_file

from steergauge.activations.hooks import capture
from steergauge.directions.control_vectors import load_control_vectors, save_control_vectors
from steergauge.directions.dim import difference_in_means
from steergauge.directions.direction import Direction, ExtractedDirection
from steergauge.directions.files import load_direction, save_direction
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.models.phantom import Phantom
from steergauge.prompts import study_contrast_set

BLOCKS, WIDTH = 4, 6


@pytest.fixture
def direction() -> Direction:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(BLOCKS, WIDTH))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Direction("svd", vectors.astype(np.float32), rng.uniform(1, 100, BLOCKS), position=-3)


@pytest.fixture
def saved(direction: Direction) -> ExtractedDirection:
    return ExtractedDirection(direction, "qwen2.5-coder-0.5b", "0123abcd")


def header_of(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="numpy") as file:
        header: dict[str, Any] = json.loads(file.metadata()["steergauge"])
    return header


def rewrite(path: Path, **changed: object) -> None:
    """The same file with other metadata."""
    header = header_of(path) | changed
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    save_file(tensors, path, metadata={"steergauge": json.dumps(header)})


def test_a_saved_direction_comes_back_bit_for_bit_with_all_that_belongs_to_it(
    saved: ExtractedDirection, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "direction.safetensors"
    save_direction(saved, path)
    loaded = load_direction(path)
    ours, theirs = saved.direction, loaded.direction
    assert theirs.vectors.tobytes() == ours.vectors.tobytes()
    assert theirs.raw_norms.tobytes() == ours.raw_norms.tobytes()
    assert (theirs.vectors.dtype, theirs.raw_norms.dtype) == (np.dtype(np.float32), np.dtype(np.float64))
    assert theirs.digest == ours.digest
    assert (theirs.method, theirs.site, theirs.position) == ("svd", "block output", -3)
    assert (loaded.model, loaded.fingerprint) == ("qwen2.5-coder-0.5b", "0123abcd")
    assert [file.name for file in path.parent.iterdir()] == ["direction.safetensors"]


def test_every_field_of_a_direction_is_in_the_file(saved: ExtractedDirection, tmp_path: Path) -> None:
    path = tmp_path / "direction.safetensors"
    save_direction(saved, path)
    assert header_of(path) == {
        "format": "direction",
        "version": 1,
        "method": "svd",
        "site": "block output",
        "position": -3,
        "blocks": BLOCKS,
        "width": WIDTH,
        "digest": saved.direction.digest,
        "model": "qwen2.5-coder-0.5b",
        "fingerprint": "0123abcd",
    }


def test_equal_directions_are_equal_files(saved: ExtractedDirection, tmp_path: Path) -> None:
    for name in "ab":
        save_direction(saved, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_of_a_newer_steergauge_is_refused_with_both_versions(
    saved: ExtractedDirection, tmp_path: Path
) -> None:
    path = tmp_path / "direction.safetensors"
    save_direction(saved, path)
    rewrite(path, version=2, something="new")
    with pytest.raises(SteergaugeError, match=r"newer steergauge \(format 2, this one reads up to 1\)"):
        load_direction(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"format": "activations"},
        {"method": None},
        {"something": "else"},
        {"version": "one"},
        {"version": None},
    ],
)
def test_metadata_that_steergauge_does_not_write_is_refused(
    saved: ExtractedDirection, tmp_path: Path, changed: dict[str, object]
) -> None:
    path = tmp_path / "direction.safetensors"
    save_direction(saved, path)
    rewrite(path, **changed)
    with pytest.raises(SteergaugeError, match="not a direction that steergauge saved"):
        load_direction(path)


def test_a_safetensors_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for metadata in (None, {"format": "pt"}, {"steergauge": "[1]"}, {"steergauge": "no JSON"}):
        save_file({"vectors": np.zeros((2, 2), dtype=np.float32)}, path, metadata=metadata)
        with pytest.raises(SteergaugeError, match="not a direction that steergauge saved") as refusal:
            load_direction(path)
        assert "\n" not in str(refusal.value)


def test_a_file_that_is_no_safetensors_or_not_there_is_named(
    saved: ExtractedDirection, tmp_path: Path
) -> None:
    path = tmp_path / "direction.safetensors"
    with pytest.raises(SteergaugeError, match=r"cannot read the direction .*direction\.safetensors"):
        load_direction(path)
    path.write_bytes(b"")
    with pytest.raises(SteergaugeError, match="not a whole safetensors file"):
        load_direction(path)
    save_direction(saved, path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(SteergaugeError, match="not a whole safetensors file"):
        load_direction(path)


def test_a_number_that_changed_on_the_disk_is_noticed(saved: ExtractedDirection, tmp_path: Path) -> None:
    path = tmp_path / "direction.safetensors"
    save_direction(saved, path)
    contents = bytearray(path.read_bytes())
    contents[-1] ^= 1
    path.write_bytes(bytes(contents))
    with pytest.raises(SteergaugeError, match="is damaged"):
        load_direction(path)


def test_a_shape_that_its_metadata_does_not_say_is_damage(saved: ExtractedDirection, tmp_path: Path) -> None:
    path = tmp_path / "direction.safetensors"
    save_direction(saved, path)
    rewrite(path, width=WIDTH + 1)
    with pytest.raises(SteergaugeError, match="is damaged"):
        load_direction(path)


def test_a_loaded_direction_is_refused_by_a_model_of_another_shape(
    saved: ExtractedDirection, tmp_path: Path
) -> None:
    path = tmp_path / "direction.safetensors"
    save_direction(saved, path)
    loaded = load_direction(path).direction
    loaded.require_fit(BLOCKS, WIDTH, "same")
    with pytest.raises(SteergaugeError, match="6 wide and other is 8 wide"):
        loaded.require_fit(BLOCKS, 8, "other")
    with pytest.raises(SteergaugeError, match="4 blocks and other has 5"):
        loaded.require_fit(5, WIDTH, "other")


def test_a_file_that_cannot_be_written_leaves_the_old_one(saved: ExtractedDirection, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SteergaugeError, match="cannot write"):
        save_direction(saved, tmp_path / "file" / "direction.safetensors")
    with pytest.raises(SteergaugeError, match="cannot write"):
        save_direction(saved, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def read_by_hand(path: Path) -> tuple[dict[str, object], dict[str, np.ndarray[Any, Any]]]:
    """A control vector read by GGUF's specification alone: metadata and tensors, in the order of the file."""
    data = path.read_bytes()
    magic, version, tensors, keys = struct.unpack_from("<4sIQQ", data)
    assert (magic, version) == (b"GGUF", 3)
    place = 24

    def text() -> str:
        nonlocal place
        (length,) = struct.unpack_from("<Q", data, place)
        place += 8 + length
        return data[place - length : place].decode()

    def number(form: str) -> Any:
        nonlocal place
        (value,) = struct.unpack_from(f"<{form}", data, place)
        place += struct.calcsize(f"<{form}")
        return value

    metadata: dict[str, object] = {}
    for _ in range(keys):
        key, kind = text(), number("I")
        metadata[key] = text() if kind == GGUFValueType.STRING else number({4: "I", 12: "d"}[kind])
    infos = []
    for _ in range(tensors):
        name = text()
        dimensions = [number("Q") for _ in range(number("I"))]
        infos.append((name, dimensions, number("I"), number("Q")))
    start = -(-place // 32) * 32
    rows = {}
    for name, dimensions, kind, offset in infos:
        assert (len(dimensions), kind) == (1, GGMLQuantizationType.F32)
        rows[name] = np.frombuffer(data, "<f4", dimensions[0], start + offset)
    return metadata, rows


def test_an_independent_reader_finds_the_metadata_and_rows_that_llama_cpp_and_repeng_read(
    direction: Direction, tmp_path: Path
) -> None:
    path = tmp_path / "vector.gguf"
    save_control_vectors(direction, path, model_hint="qwen2")
    reader = GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.architecture"] == "controlvector"
    assert fields["controlvector.model_hint"] == "qwen2"
    assert fields["controlvector.layer_count"] == BLOCKS - 1
    assert [tensor.name for tensor in reader.tensors] == ["direction.1", "direction.2", "direction.3"]
    for block, tensor in enumerate(reader.tensors, 1):
        assert tensor.tensor_type == GGMLQuantizationType.F32
        assert tensor.data.shape == (WIDTH,)
        np.testing.assert_array_equal(tensor.data, direction.vectors[block])
    metadata, rows = read_by_hand(path)
    assert metadata == {
        "general.architecture": "controlvector",
        "controlvector.model_hint": "qwen2",
        "controlvector.layer_count": 3,
        "steergauge.method": "svd",
        "steergauge.scale": 1.0,
    }
    assert list(rows) == [tensor.name for tensor in reader.tensors]
    for block in range(1, BLOCKS):
        np.testing.assert_array_equal(rows[f"direction.{block}"], direction.vectors[block])


def test_the_scale_is_the_length_of_every_row(direction: Direction, tmp_path: Path) -> None:
    path = tmp_path / "vector.gguf"
    save_control_vectors(direction, path, model_hint="qwen2", scale=-15.0)
    metadata, rows = read_by_hand(path)
    assert metadata["steergauge.scale"] == -15.0
    for block in range(1, BLOCKS):
        np.testing.assert_allclose(rows[f"direction.{block}"], -15 * direction.vectors[block], rtol=1e-6)
        assert np.linalg.norm(rows[f"direction.{block}"]) == pytest.approx(15, rel=1e-6)


def test_the_studys_rule_writes_the_vector_of_one_block_at_it_and_all_after_it(
    direction: Direction, tmp_path: Path
) -> None:
    path = tmp_path / "vector.gguf"
    export = save_control_vectors(direction, path, model_hint="qwen2", scale=2.0, steered_from=2)
    assert (export.path, export.blocks, export.lost, export.warning) == (path, (2, 3), (), None)
    _, rows = read_by_hand(path)
    assert list(rows) == ["direction.1", "direction.2", "direction.3"]
    assert not rows["direction.1"].any()  # repeng looks for every block that it controls
    for block in (2, 3):
        np.testing.assert_array_equal(rows[f"direction.{block}"], 2 * direction.vectors[2])
    assert list(load_control_vectors(path).vectors) == [2, 3]


@pytest.mark.parametrize("steered_from", [None, 0])
def test_the_loss_of_block_0_is_said_in_what_is_returned_and_in_the_log(
    direction: Direction, tmp_path: Path, caplog: pytest.LogCaptureFixture, steered_from: int | None
) -> None:
    with caplog.at_level(logging.WARNING, logger="steergauge"):
        export = save_control_vectors(
            direction, tmp_path / "vector.gguf", model_hint="qwen2", steered_from=steered_from
        )
    assert (export.blocks, export.lost) == ((1, 2, 3), (0,))
    assert export.warning is not None
    assert "nothing for block 0, which no control vector can express" in export.warning
    assert caplog.messages == [export.warning]


def test_what_cannot_be_a_control_vector_is_refused(direction: Direction, tmp_path: Path) -> None:
    path = tmp_path / "vector.gguf"
    inside = Direction("dim", direction.vectors, direction.raw_norms, site="block input")
    with pytest.raises(SteergaugeError, match="read at the block input"):
        save_control_vectors(inside, path, model_hint="qwen2")
    with pytest.raises(SteergaugeError, match="model_hint"):
        save_control_vectors(direction, path, model_hint="")
    for scale in (0.0, np.nan, np.inf):
        with pytest.raises(SteergaugeError, match="finite number other than 0"):
            save_control_vectors(direction, path, model_hint="qwen2", scale=scale)
    with pytest.raises(SteergaugeError, match="block 4 is out of range: the direction has blocks 0 to 3"):
        save_control_vectors(direction, path, model_hint="qwen2", steered_from=4)
    single = Direction("dim", direction.vectors[:1], direction.raw_norms[:1])
    with pytest.raises(SteergaugeError, match="one block cannot be a control vector"):
        save_control_vectors(single, path, model_hint="qwen2")
    assert not path.exists()


def write_foreign(path: Path, rows: dict[str, Any], architecture: str = "controlvector") -> None:
    """As repeng's `export_gguf` does: no word of ours."""
    writer = GGUFWriter(str(path), architecture)
    writer.add_string(f"{architecture}.model_hint", "mistral")
    writer.add_uint32(f"{architecture}.layer_count", len(rows))
    for name, row in rows.items():
        writer.add_tensor(name, row)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_repengs_file_is_read_with_its_layers_as_blocks(tmp_path: Path) -> None:
    path = tmp_path / "vector.gguf"
    rows = {layer: np.full(WIDTH, layer, dtype=np.float32) for layer in (3, 2, 1)}  # repeng counts down
    write_foreign(path, {f"direction.{layer}": row for layer, row in rows.items()})
    vectors = load_control_vectors(path)
    assert (vectors.model_hint, vectors.method, vectors.width) == ("mistral", "control_vector", WIDTH)
    assert list(vectors.vectors) == [1, 2, 3]
    for layer, row in rows.items():
        np.testing.assert_array_equal(vectors.at(layer), row)


def test_an_imported_vector_is_a_unit_direction_with_the_models_own_separation(tmp_path: Path) -> None:
    path = tmp_path / "vector.gguf"
    write_foreign(path, {"direction.1": np.array([3, 4], np.float32), "direction.2": np.zeros(2, np.float32)})
    positive = np.zeros((2, 3, 2), dtype=np.float32)
    positive[:, 1] = [[5, 0], [15, 0]]
    found = load_control_vectors(path).direction(positive, np.zeros_like(positive), needed=[1])
    np.testing.assert_allclose(found.vectors, np.array([[0, 0], [0.6, 0.8], [0, 0]]), atol=1e-7)
    np.testing.assert_allclose(found.raw_norms, [0, 6, 0], atol=1e-7)  # mean (10, 0) along (.6, .8)
    assert np.isfinite(found.vectors).all()
    assert (found.method, found.site) == ("control_vector", "block output")


def test_an_imported_vector_without_the_block_that_is_needed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vector.gguf"
    write_foreign(path, {"direction.1": np.array([1, 0], np.float32), "direction.2": np.zeros(2, np.float32)})
    vectors, positive = load_control_vectors(path), np.ones((2, 3, 2), dtype=np.float32)
    with pytest.raises(
        SteergaugeError, match="nothing for block 0, which no control vector can express; it has blocks 1"
    ):
        vectors.direction(positive, 0 * positive, needed=[0, 1])
    with pytest.raises(SteergaugeError, match="nothing for block 2; it has blocks 1"):
        vectors.direction(positive, 0 * positive, needed=[2])
    with pytest.raises(SteergaugeError, match=r"block 1 the positive class does not lie above .*by -1"):
        vectors.direction(0 * positive, positive, needed=[1])
    with pytest.raises(SteergaugeError, match="2 wide and the model's stream 3"):
        vectors.direction(np.ones((2, 3, 3), np.float32), np.zeros((2, 3, 3), np.float32), needed=[1])
    with pytest.raises(SteergaugeError, match="adds at block 1 and the model has blocks 0 to 0"):
        vectors.direction(positive[:, :1], 0 * positive[:, :1], needed=[])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"direction.0": np.ones(2, np.float32)}, "block 0 cannot be expressed"),
        ({"direction.x": np.ones(2, np.float32)}, "a tensor 'direction.x'"),
        ({"blk.1.weight": np.ones(2, np.float32)}, "a tensor 'blk.1.weight'"),
        ({"direction.1": np.ones(2, np.float16)}, "direction.1: 1 dimensions of F16"),
        ({"direction.1": np.ones((2, 2), np.float32)}, "direction.1: 2 dimensions of F32"),
        ({"direction.1": np.array([1, np.nan], np.float32)}, "direction.1: a number is not finite"),
        (
            {"direction.1": np.ones(2, np.float32), "direction.2": np.ones(3, np.float32)},
            "several widths, 2, 3",
        ),
        ({"direction.1": np.zeros(2, np.float32)}, "it would add nothing"),
    ],
)
def test_a_file_that_llama_cpp_would_refuse_is_refused_with_the_reason(
    tmp_path: Path, rows: dict[str, Any], message: str
) -> None:
    path = tmp_path / "vector.gguf"
    write_foreign(path, rows)
    with pytest.raises(SteergaugeError, match=message) as refusal:
        load_control_vectors(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_gguf_of_something_else_and_a_file_of_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "vector.gguf"
    with pytest.raises(SteergaugeError, match="cannot read the control vector"):
        load_control_vectors(path)
    for contents in (b"", b"no GGUF at all, only text that is long enough"):
        path.write_bytes(contents)
        with pytest.raises(SteergaugeError, match="not a whole GGUF file"):
            load_control_vectors(path)
    write_foreign(path, {"direction.1": np.ones(2, np.float32)}, architecture="llama")
    with pytest.raises(SteergaugeError, match="a GGUF file of llama, not of a controlvector"):
        load_control_vectors(path)
    whole = tmp_path / "whole.gguf"
    write_foreign(whole, {"direction.1": np.ones(64, np.float32)})
    path.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(SteergaugeError, match="not a whole GGUF file"):
        load_control_vectors(path)


def test_the_phantoms_direction_survives_the_way_out_and_back(
    phantom_model: Model, phantom: Phantom, tmp_path: Path
) -> None:
    prompts = study_contrast_set()
    positive = capture(phantom_model, prompts.positive).at(-1)
    negative = capture(phantom_model, prompts.negative).at(-1)
    direction = difference_in_means(positive, negative)
    path = tmp_path / "phantom.gguf"
    save_control_vectors(direction, path, model_hint="llama", scale=2.0)
    back = load_control_vectors(path).direction(positive, negative, needed=range(1, direction.blocks))
    assert back.method == "dim"
    np.testing.assert_allclose(back.vectors[1:], direction.vectors[1:], atol=1e-7)
    np.testing.assert_allclose(back.raw_norms[1:], 8.0, rtol=1e-3)  # how the phantom is built
    assert (back.vectors[1:] @ phantom.direction).min() >= 0.999
    assert not back.vectors[0].any()
