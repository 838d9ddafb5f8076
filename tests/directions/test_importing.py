"""Directions from files, under the names that they are measured under."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from steergauge.directions.extract import ContrastReadings, extract_direction, read_contrast
from steergauge.directions.files import save_direction
from steergauge.directions.formats import write_direction_file
from steergauge.directions.importing import import_directions
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.models.phantom import Phantom
from steergauge.prompts import ContrastSet, study_contrast_set


@pytest.fixture(scope="module")
def readings(phantom_model: Model) -> ContrastReadings:
    return read_contrast(phantom_model, study_contrast_set())


def test_an_extracted_direction_is_the_planted_one_and_names_its_model(
    phantom_model: Model, phantom: Phantom
) -> None:
    extracted = extract_direction(phantom_model)
    assert (extracted.direction.vectors @ phantom.direction).min() > 0.999
    assert (extracted.model, extracted.fingerprint) == (phantom_model.name, phantom_model.fingerprint)


def test_other_prompts_give_another_direction(phantom_model: Model) -> None:
    study = study_contrast_set()
    swapped = ContrastSet(name="swapped", positive=study.negative, negative=study.positive)
    ours, theirs = extract_direction(phantom_model), extract_direction(phantom_model, "dim", swapped)
    np.testing.assert_array_equal(ours.direction.vectors, -theirs.direction.vectors)


def test_a_mistake_in_the_method_is_told_before_a_model_is_looked_for() -> None:
    with pytest.raises(SteergaugeError, match="no extraction method 'dimm'"):
        extract_direction("no-such-model", "dimm")


def test_a_lossless_file_is_imported_bit_for_bit_and_says_where_it_is_from(
    phantom_model: Model, readings: ContrastReadings, tmp_path: Path
) -> None:
    extracted = extract_direction(phantom_model, "svd")
    path = tmp_path / "here.safetensors"
    assert write_direction_file(extracted, path, "llama") == ()
    imported = import_directions([path], phantom_model, readings, [3])
    assert list(imported) == ["svd-imported"]
    assert imported["svd-imported"].direction.digest == extracted.direction.digest
    assert imported["svd-imported"].source == f"{path}, extracted on {phantom_model.name} in this state"
    save_direction(replace(extracted, model="other", fingerprint="0123"), path)
    assert (
        "on other in another state"
        in import_directions([path], phantom_model, readings, [3])["svd-imported"].source
    )


def test_a_control_vector_is_measured_on_the_models_readings(
    phantom_model: Model, readings: ContrastReadings, tmp_path: Path
) -> None:
    extracted, path = extract_direction(phantom_model), tmp_path / "d.gguf"
    write_direction_file(extracted, path, "llama", scale=5.0)
    imported = import_directions([path], phantom_model, readings, [3])["dim-imported"].direction
    # DIM's raw norm is the distance of the means along itself, whatever the file was scaled by.
    np.testing.assert_allclose(imported.raw_norms[1:], extracted.direction.raw_norms[1:], rtol=1e-5)
    assert imported.raw_norms[0] == 0


def test_a_control_vector_without_a_needed_block_is_refused(
    phantom_model: Model, readings: ContrastReadings, tmp_path: Path
) -> None:
    write_direction_file(extract_direction(phantom_model), tmp_path / "d.gguf", "llama", steered_from=3)
    with pytest.raises(SteergaugeError, match=r"d.gguf has nothing for block 2; it has blocks 3, 4, 5"):
        import_directions([tmp_path / "d.gguf"], phantom_model, readings, [2, 3])


def test_a_direction_of_another_place_is_refused(
    phantom_model: Model, readings: ContrastReadings, tmp_path: Path
) -> None:
    extracted = extract_direction(phantom_model)
    elsewhere = replace(extracted, direction=replace(extracted.direction, site="attention output"))
    save_direction(elsewhere, tmp_path / "d.safetensors")
    with pytest.raises(
        SteergaugeError, match="was read at the attention output, and what is steered is the block"
    ):
        import_directions([tmp_path / "d.safetensors"], phantom_model, readings, [3])


def test_two_files_of_one_method_are_refused(
    phantom_model: Model, readings: ContrastReadings, tmp_path: Path
) -> None:
    for name in ("a.safetensors", "b.gguf"):
        write_direction_file(extract_direction(phantom_model), tmp_path / name, "llama")
    with pytest.raises(SteergaugeError, match=r"b.gguf was made by dim as another file was"):
        import_directions([tmp_path / "a.safetensors", tmp_path / "b.gguf"], phantom_model, readings, [3])
