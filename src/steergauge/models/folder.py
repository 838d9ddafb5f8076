"""A transformers folder before it is loaded: its configuration and its weight files, or why it is none."""

import json
from pathlib import Path
from typing import Any

from steergauge.errors import SteergaugeError


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's `config.json`.

    Raises:
        SteergaugeError: there is none, or it is not JSON.
    """
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


def declared_quantization(config: dict[str, Any]) -> str | None:
    """What the configuration says its weights are quantised by, such as `gptq 4-bit`."""
    declared = config.get("quantization_config")
    if not isinstance(declared, dict):
        return None
    method, bits = declared.get("quant_method", "quantised"), declared.get("bits")
    return f"{method} {bits}-bit" if bits else str(method)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors that transformers would load, all of them there.

    Raises:
        SteergaugeError: there are none, some are missing, or there is only a pickle.
    """
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
