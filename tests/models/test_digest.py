import hashlib
import os
from pathlib import Path

import pytest

from steergauge.models.digest import file_digest, files_digest, sha256


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("STEERGAUGE_CACHE", str(folder))
    return folder


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    return path


def test_a_file_is_hashed_once_and_again_when_it_changes(weights: Path) -> None:
    said: list[str] = []
    first = file_digest(weights, said.append)
    assert first == sha256(weights) == hashlib.sha256(b"weights").hexdigest()
    assert file_digest(weights, said.append) == first
    assert said == ["hashing model.safetensors (0.0 GB), once"]
    weights.write_bytes(b"changed")
    os.utime(weights, ns=(0, 0))
    assert file_digest(weights, said.append) == hashlib.sha256(b"changed").hexdigest()
    assert len(said) == 2


def test_a_damaged_memory_is_made_anew(weights: Path, cache: Path) -> None:
    first = file_digest(weights, lambda _: None)
    (note,) = (cache / "digests").iterdir()
    note.write_text("{")
    assert file_digest(weights, lambda _: None) == first
    assert first in note.read_text()


def test_a_blob_of_the_hub_is_not_hashed_since_its_name_is_its_hash(weights: Path, tmp_path: Path) -> None:
    blob = tmp_path / "blobs" / ("ab" * 32)
    blob.parent.mkdir()
    weights.rename(blob)
    weights.symlink_to(blob)
    said: list[str] = []
    assert file_digest(weights, said.append) == blob.name
    assert said == []


def test_several_files_have_one_hash_of_their_names_and_contents(weights: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"weights")
    hashes = {files_digest(paths, lambda _: None) for paths in ([weights], [other], [weights, other])}
    assert len(hashes) == 3
