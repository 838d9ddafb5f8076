"""Imports run downhill, as pyproject.toml's contracts say."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINTER = Path(sys.executable).with_name("lint-imports")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs import-linter on the package of a folder, with the contracts of its pyproject.toml."""
    command = [str(LINTER), "--no-cache"]
    environment = {"PYTHONPATH": str(folder / "src"), "PATH": str(LINTER.parent), "LANG": "C.UTF-8"}
    return subprocess.run(
        command, cwd=folder, env=environment, check=False, capture_output=True, text=True, encoding="utf-8"
    )


def test_imports_keep_every_contract() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " 0 broken" in result.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("models/blocks.py", "import steergauge.steering.dose", "imports run downhill"),
        ("judging/label.py", "import torch", "never touch a model"),
        ("report/words.py", "import steergauge.models.loading", "never touch a model"),
    ],
)
def test_an_import_uphill_is_caught(module: str, line: str, contract: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    changed = tmp_path / "src" / "steergauge" / module
    changed.write_text(f"{changed.read_text()}\n{line}\n")
    result = lint(tmp_path)
    assert result.returncode != 0
    assert contract in result.stdout
    assert "BROKEN" in result.stdout
