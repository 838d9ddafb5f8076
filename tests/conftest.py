"""What tests share: the phantom and tiny random models of many families, all made here, nothing downloaded."""

import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from commands import Outcome, Run

if TYPE_CHECKING:
    from steergauge.models.loading import Model
    from steergauge.models.phantom import Phantom

os.environ.setdefault("HF_HUB_OFFLINE", "1")

settings.register_profile("steergauge", deadline=None)  # a busy machine is no fault of an example
settings.load_profile("steergauge")


@pytest.fixture(autouse=True)
def _threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """One thread for tiny models, which only wait for a second one; all of them for real models."""
    torch = sys.modules.get("torch")  # most tests do without, and are not made to wait for the import
    if torch is None or "real" in request.keywords:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> "Phantom":
    from steergauge.models.phantom import build_phantom

    return build_phantom(tmp_path_factory.mktemp("phantom"))


@pytest.fixture(scope="session")
def phantom_model(phantom: "Phantom") -> "Model":
    from steergauge.models.loading import load_model

    return load_model(str(phantom.folder), precision="float32", device="cpu")


@pytest.fixture(scope="session")
def tiny_folder(phantom: "Phantom", tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny random model of a family (`tiny.FAMILIES`), with the phantom's tokenizer."""
    from tiny import save

    @cache
    def folder(family: str) -> Path:
        made = tmp_path_factory.mktemp(family)
        save(family, made, tokenizer=phantom.folder)
        return made

    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_folder: Callable[[str], Path]) -> Callable[[str], "Model"]:
    """A tiny random model of a family, loaded in float32 and shared: leave it as it was."""
    from steergauge.models.loading import load_model

    @cache
    def model(family: str) -> "Model":
        return load_model(str(tiny_folder(family)), precision="float32", device="cpu")

    return model


@pytest.fixture(scope="session")
def quantized_model(tiny_folder: Callable[[str], Path]) -> Callable[[str], "Model"]:
    """The wide tiny model under a quantisation, all else in float32, shared: leave it as it was."""
    from steergauge.models.loading import load_model

    @cache
    def model(quantization: str) -> "Model":
        return load_model(str(tiny_folder("qwen2-wide")), precision=f"{quantization}/float32", device="cpu")

    return model


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEERGAUGE_CACHE", str(tmp_path / "cache"))

    from steergauge import cli

    def called(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["steergauge", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        written = capsys.readouterr()
        return Outcome(ended.value.code or 0, written.out, written.err)

    return called
