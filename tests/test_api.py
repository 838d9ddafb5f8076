"""The package as a library: five lines from import to report."""

import subprocess
import sys
from pathlib import Path

import pytest

import steergauge as sg
from steergauge.models.loading import Model
from steergauge.models.phantom import Phantom


@pytest.mark.parametrize("name", sg.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(sg, name).__name__ == name


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = sg.nonsense


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, steergauge; print({'torch', 'transformers', 'pandas', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_report_is_written_where_a_text_says(phantom_model: Model, tmp_path: Path) -> None:
    settings = sg.GaugeSettings(depths=(0.5,), doses=(3.0,), max_new_tokens=12, random_directions=1)
    result = sg.gauge(phantom_model, settings, store=tmp_path / "steergauge.db")
    sg.write_html(result, str(tmp_path / "new" / "report.html"))
    assert "<html" in (tmp_path / "new" / "report.html").read_text(encoding="utf-8")


def test_the_lines_of_the_packages_docstring_run(
    phantom: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sg.__doc__
    lines = sg.__doc__.strip().splitlines()[1:]
    code = "\n".join(lines).strip().replace("qwen2.5-coder-0.5b", str(phantom.folder))
    assert "sg.gauge(model)" in code
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code, names)
    result = names["result"]
    assert isinstance(result, sg.GaugeResult)
    assert result.protocol.depths == [0.3, 0.4, 0.5, 0.6, 0.7]
    assert str(result.verdict) in capsys.readouterr().out
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "steergauge.db").exists()


def test_a_store_and_settings_can_be_given(phantom_model: Model, tmp_path: Path) -> None:
    settings = sg.GaugeSettings(depths=(0.5,), doses=(3.0,), max_new_tokens=12)
    with sg.Store(tmp_path / "mine.db") as store:
        result = sg.gauge(phantom_model, settings, store=store)
        assert len(store.to_pandas()) == 30 + 10 + 30 + 90  # control, contrast, condition, random vectors
    assert result.verdict.verdict == "steerable"


def test_a_mistake_is_an_error_of_its_own_kind() -> None:
    assert issubclass(sg.InstrumentError, sg.SteergaugeError)
    with pytest.raises(sg.SteergaugeError):
        sg.GaugeSettings(judge="nobody")
