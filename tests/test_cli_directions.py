"""The commands about directions, end to end on the phantom: pairs, stability, direction, and a gauge of files."""

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from commands import Run, mistake, only_mistake
from steergauge.cli.stability import Drawn
from steergauge.directions.control_vectors import load_control_vectors, save_control_vectors
from steergauge.directions.direction import Direction, ExtractedDirection
from steergauge.directions.files import load_direction, save_direction
from steergauge.directions.stability import Design
from steergauge.models.phantom import Phantom
from steergauge.prompts import study_contrast_set
from steergauge.studies.pairs import PairsFault, PairsResult
from steergauge.studies.result import GaugeResult
from steergauge.studies.stability import StabilityResult

FLOAT32 = ("--precision", "float32")
SMALL = ("--depths", "0.5", "--doses", "3", "--max-new-tokens", "12", "--random-directions", "1", *FLOAT32)


def write_pairs(path: Path, positive: tuple[str, ...], negative: tuple[str, ...]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["positive", "negative"])
        for row in range(max(len(positive), len(negative))):
            rows.writerow([side[row] if row < len(side) else "" for side in (positive, negative)])


def save_of_width(path: Path, width: int, blocks: int = 6) -> None:
    vectors = np.eye(blocks, width, dtype=np.float32)
    direction = Direction("svd", vectors, np.ones(blocks))
    if path.suffix == ".gguf":
        save_control_vectors(direction, path, model_hint="llama")
    else:
        save_direction(ExtractedDirection(direction, "another", "0123"), path)


def test_the_studys_pairs_are_clean_on_the_phantom_and_the_json_reads_back(
    run: Run, phantom: Phantom, tmp_path: Path
) -> None:
    outcome = run("pairs", phantom.folder, *FLOAT32, "--json", "pairs.json")
    assert outcome.code == 0
    assert "no warning" in outcome.out
    assert "5 positive prompts, 5 refused unsteered" in outcome.out
    assert "5 negative prompts, 0 refused unsteered" in outcome.out
    assert f"written: {tmp_path / 'pairs.json'}" in outcome.out
    assert "unsteered answers: 10 of 10 rows" in outcome.err
    result = PairsResult.model_validate_json((tmp_path / "pairs.json").read_text(encoding="utf-8"))
    assert result.to_json() + "\n" == (tmp_path / "pairs.json").read_text(encoding="utf-8")
    assert [one.prompt for one in result.prompts] == [
        *study_contrast_set().positive,
        *study_contrast_set().negative,
    ]


def test_warnings_of_pairs_are_results_by_kind_with_exit_code_0(
    run: Run, phantom: Phantom, tmp_path: Path
) -> None:
    study = study_contrast_set()
    write_pairs(tmp_path / "swapped.csv", study.negative, (*study.positive, f"{study.positive[0]}!"))
    outcome = run("pairs", phantom.folder, *FLOAT32, "--contrast", "swapped.csv")
    assert outcome.code == 0
    kinds = [line for line in outcome.out.splitlines() if line in set(PairsFault)]
    assert kinds == ["repeat", "class lengths", "harmful, not refused", "harmless, refused"]
    assert outcome.out.count("does not refuse") == 5
    assert outcome.out.count("subtracted from") == 6
    assert "swapped on" in outcome.out
    assert "13 warnings" in outcome.out


def test_stability_prints_its_verdict_and_writes_page_json_and_csv(
    run: Run, phantom: Phantom, tmp_path: Path
) -> None:
    files = ("--html", "s.html", "--json", "s.json", "--csv", "s.csv")
    outcome = run("stability", phantom.folder, *FLOAT32, "--method", "dim,svd", "--draws", "40", *files)
    assert outcome.code == 0
    result = StabilityResult.model_validate_json((tmp_path / "s.json").read_text(encoding="utf-8"))
    assert [method.method for method in result.methods] == ["dim", "svd"]
    shown = re.sub(r"\s+", " ", outcome.out)
    assert all(method.sentence in shown for method in result.methods)
    assert "svd, halves: 40 of 40 draws\n" in outcome.err
    written = [line for line in outcome.out.splitlines() if line.startswith("written: ")]
    assert written == [f"written: {tmp_path / name}" for name in ("s.html", "s.json", "s.csv")]
    table = pd.read_csv(tmp_path / "s.csv")
    pd.testing.assert_frame_equal(table, result.to_pandas())
    assert len(table) == 2 * 2 * 6
    assert (tmp_path / "s.html").read_text(encoding="utf-8").count("<svg") == 4


@pytest.mark.parametrize(
    ("options", "designs", "in_pairs"),
    [
        (("--design", "halves", "--in-pairs"), ["halves"], True),
        (("--design", "bootstrap", "--apart"), ["bootstrap"], False),
        ((), ["bootstrap", "halves"], False),
    ],
)
def test_design_and_pairing_are_what_was_asked_for(
    run: Run, phantom: Phantom, options: tuple[str, ...], designs: list[str], in_pairs: bool
) -> None:
    assert run("stability", phantom.folder, *FLOAT32, "--draws", "3", "--json", "s.json", *options).code == 0
    result = StabilityResult.model_validate_json(Path("s.json").read_text(encoding="utf-8"))
    found = result.methods[0].designs
    assert [str(design.design) for design in found] == designs
    assert {design.in_pairs for design in found} == {in_pairs}
    assert {design.draws for design in found} == {3}


def test_the_designs_of_the_command_line_are_those_of_stability() -> None:
    assert [drawn.value for drawn in Drawn] == [*(design.value for design in Design), "both"]


def test_a_direction_is_written_without_loss(run: Run, phantom: Phantom, tmp_path: Path) -> None:
    outcome = run("direction", phantom.folder, "d.safetensors", *FLOAT32)
    assert outcome.code == 0
    assert "lost: nothing" in outcome.out
    assert f"written: {tmp_path / 'd.safetensors'}" in outcome.out
    vectors = load_direction(tmp_path / "d.safetensors").direction.vectors
    assert (vectors @ phantom.direction).min() > 0.999


def test_a_control_vector_is_written_with_what_it_cannot_hold(
    run: Run, phantom: Phantom, tmp_path: Path
) -> None:
    outcome = run("direction", phantom.folder, "each.gguf", *FLOAT32, "--method", "svd")
    assert (
        "lost: block 0; the distances of the classes; the token read; the model's fingerprint" in outcome.out
    )
    assert list(load_control_vectors(tmp_path / "each.gguf").vectors) == [1, 2, 3, 4, 5]

    outcome = run("direction", phantom.folder, "from.gguf", *FLOAT32, "--scale", "2", "--from", "3")
    assert "lost: the vectors of all blocks but 3; " in outcome.out
    added = load_control_vectors(tmp_path / "from.gguf").vectors
    assert list(added) == [3, 4, 5]
    np.testing.assert_allclose([np.linalg.norm(vector) for vector in added.values()], 2, rtol=1e-6)


@pytest.mark.parametrize("name", ["d.safetensors", "d.gguf"])
def test_a_direction_from_a_file_measures_as_the_one_extracted_here(
    run: Run, phantom: Phantom, tmp_path: Path, name: str
) -> None:
    assert run("direction", phantom.folder, name, *FLOAT32).code == 0
    outcome = run("gauge", phantom.folder, *SMALL, "--method", "dim", "--direction", name, "--json", "r.json")
    assert outcome.code == 0, outcome.err
    result = GaugeResult.model_validate_json((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert result.protocol.methods == ["dim", "dim-imported"]
    extracted, imported = result.conditions
    assert (extracted.id, imported.id) == ("dim-block3-raw3", "dim-imported-block3-raw3")
    assert imported.refusal == extracted.refusal
    assert imported.refusal.count == 30
    ours, theirs = result.directions
    assert ours.source == ""
    assert theirs.source.startswith(f"{name}, ")
    np.testing.assert_allclose(theirs.raw_norms[1:], ours.raw_norms[1:], rtol=1e-5)
    assert theirs.source in (tmp_path / f"{result_page(outcome.out)}").read_text(encoding="utf-8")


def result_page(out: str) -> str:
    return next(line for line in out.splitlines() if line.endswith(".html")).rsplit("/", 1)[1]


def test_a_direction_alone_is_measured_alone(run: Run, phantom: Phantom, tmp_path: Path) -> None:
    assert run("direction", phantom.folder, "d.safetensors").code == 0  # in the precision of this machine
    assert run("gauge", phantom.folder, *SMALL, "--direction", "d.safetensors", "--json", "r.json").code == 0
    result = GaugeResult.model_validate_json((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert [condition.method for condition in result.conditions] == ["dim-imported"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pairs", "--judge", "studie"], "no judge 'studie': did you mean study"),
        (["pairs", "--contrast", "missing.csv"], "cannot read the prompt file missing.csv"),
        (["pairs", "--max-new-tokens", "0"], "'--max-new-tokens'"),
        (["stability", "--method", "dimm"], "no extraction method 'dimm'; did you mean dim"),
        (["stability", "--method", "dim,dim"], "one or more methods, each once; not dim, dim"),
        (["stability", "--method", "dim,svd", "--apart"], "svd reads pairs"),
        (["stability", "--contrast", "uneven.csv", "--in-pairs"], "there are 2 positive and 1 negative ones"),
        (["stability", "--draws", "0"], "'--draws'"),
        (["stability", "--design", "thirds"], "'bootstrap', 'halves', 'both'"),
        (["direction", "d.txt"], "d.txt: give a name that ends with .safetensors or .gguf"),
        (["direction", "d.safetensors", "--scale", "2"], "belongs to a .gguf file"),
        (["direction", "d.safetensors", "--from", "0"], "belongs to a .gguf file"),
        (["direction", "d.gguf", "--method", "smv"], "no extraction method 'smv'"),
        (["gauge", "--method", ""], "no extraction method ''"),
        (["gauge", "--direction", "missing.safetensors"], "cannot read the direction missing.safetensors"),
        (["gauge", "--direction", "missing.gguf"], "cannot read the control vector missing.gguf"),
        (
            ["gauge", "--direction", "uneven.csv"],
            "uneven.csv: give a name that ends with .safetensors or .gguf",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_told_before_the_model_is_looked_for(
    run: Run, tmp_path: Path, arguments: list[str], words: str
) -> None:
    write_pairs(tmp_path / "uneven.csv", ("a", "b"), ("c",))
    command, *options = arguments
    assert words in only_mistake(run(command, "no-such-model", *options))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["direction", "d.gguf", "--from", "6"], "block 6 is out of range"),
        (["direction", "d.gguf", "--scale", "0"], "must be a finite number other than 0"),
        (["gauge", "--direction", "narrow.safetensors"], "the direction is 32 wide and"),
        (["gauge", "--direction", "narrow.gguf"], "narrow.gguf is 32 wide and the model's stream 128"),
        (["gauge", "--direction", "deep.safetensors"], "the direction has 7 blocks and"),
        (["gauge", "--direction", "deep.gguf"], "deep.gguf adds at block 6 and the model has blocks 0 to 5"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_does_not_fit_the_model_is_told_in_one_line(
    run: Run, phantom: Phantom, tmp_path: Path, arguments: list[str], words: str
) -> None:
    for suffix in (".safetensors", ".gguf"):
        save_of_width(tmp_path / f"narrow{suffix}", 32)
        save_of_width(tmp_path / f"deep{suffix}", 128, blocks=7)
    command, *options = arguments
    assert words in mistake(run(command, phantom.folder, *options, *FLOAT32))
