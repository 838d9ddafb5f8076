"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from steergauge.errors import SteergaugeError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a path beside `path` to write to; it takes the place of `path` when the block ends well."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise SteergaugeError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # a folder that could not be made holds nothing to remove
            partial.unlink(missing_ok=True)
