"""What produced a result: versions, hardware and seeds, enough to run it again."""

import platform
from importlib.metadata import version
from pathlib import Path

import psutil
import torch

_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "scipy", "statsmodels")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def hardware(device: str) -> dict[str, str]:
    """The processor, its threads, the memory, and the accelerator when one was used."""
    found = {
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": platform.system(),
    }
    if device.startswith("cuda"):
        found["accelerator"] = torch.cuda.get_device_name(device)
    return found


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
