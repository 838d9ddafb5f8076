"""The cache folder: where it is, one process at a time in it, and what is said when its disk is full."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from steergauge.errors import SteergaugeError


def cache_folder() -> Path:
    """Where weights are kept: `$STEERGAUGE_CACHE`, or the user's cache folder."""
    chosen = os.environ.get("STEERGAUGE_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("steergauge")


def models_folder(name: str, digest: str) -> Path:
    """Where a model that was made on this machine is kept, by its name and the hash of what it came from."""
    return cache_folder() / "models" / f"{name}-{digest[:12]}"


@contextmanager
def scratch_beside(target: Path) -> Iterator[Path]:
    """A folder to make `target` in, on its disk and gone afterwards; what a killed process left goes first."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob(f"{target.name}.partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{target.name}.partial-", dir=target.parent) as scratch:
        yield Path(scratch)


@contextmanager
def one_process(name: str, progress: Callable[[str], None]) -> Iterator[None]:
    """Lets one process at a time fetch or make a model; the lock ends with its process."""
    from filelock import FileLock, Timeout  # noqa: PLC0415

    path = cache_folder() / "locks" / f"{name}.lock"
    with one_line(f"cannot use the cache folder {cache_folder()}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress(f"waiting for another process that is fetching or making {name}")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def one_line(what: str) -> Iterator[None]:
    """Turns a full or forbidden disk into one line.

    Raises:
        SteergaugeError: the block raised an OSError; `what` says what could not be done.
    """
    try:
        yield
    except OSError as error:
        folder = cache_folder()
        reason = error.strerror or next(iter(str(error).splitlines()), type(error).__name__)
        free = shutil.disk_usage(next(at for at in (folder, *folder.parents) if at.exists())).free
        raise SteergaugeError(
            f"{what}: {reason} "
            f"({free / 1e9:.1f} GB free; the cache folder is {folder}, set by STEERGAUGE_CACHE)"
        ) from error
