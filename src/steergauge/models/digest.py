"""SHA-256 of weight files, remembered so that gigabytes are read once."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from steergauge.models.cache import cache_folder, one_line


def sha256(path: Path) -> str:
    """The SHA-256 of a file, read from end to end."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digest(path: Path, progress: Callable[[str], None]) -> str:
    """The SHA-256 of a file, remembered as long as its size and time of change stay the same."""
    actual = path.resolve()
    if actual.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", actual.name):
        return actual.name  # the hub's cache names large files by their SHA-256
    status = actual.stat()
    key = {"path": str(actual), "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    note = cache_folder() / "digests" / f"{hashlib.sha256(str(actual).encode()).hexdigest()[:32]}.json"
    try:
        kept: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
        if all(kept[name] == value for name, value in key.items()):
            return str(kept["sha256"])
    except (OSError, ValueError, KeyError):
        pass
    progress(f"hashing {path.name} ({status.st_size / 1e9:.1f} GB), once")
    digest = sha256(actual)
    with one_line("cannot remember a hash"):
        note.parent.mkdir(parents=True, exist_ok=True)
        fresh = note.with_name(f"{note.name}.{os.getpid()}")
        fresh.write_text(json.dumps(key | {"sha256": digest}), encoding="utf-8")
        fresh.replace(note)
    return digest


def files_digest(paths: Iterable[Path], progress: Callable[[str], None]) -> str:
    """One hash over the names and the contents of several files."""
    lines = [f"{path.name} {file_digest(path, progress)}\n" for path in paths]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
