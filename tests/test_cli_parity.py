"""`steergauge parity` end to end on the phantom, with the tools that need no extra."""

import json
import logging
from pathlib import Path

import pandas as pd
import pytest

from commands import Run, only_mistake
from steergauge.models.phantom import Phantom
from steergauge.studies.parity_result import ParityResult

SMALL = ("--depths", "0.5", "--dose", "3", "--max-new-tokens", "6")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--depths", "1.5"], "a depth is a fraction from 0 to below 1, not 1.5"),
        (["--depths", "0.5,0.5"], "depths has a repeat"),
        (["--depths", "half"], "--depths takes numbers"),
        (["--dose", "0"], "other than 0"),
        (["--dose", "nan"], "a finite number"),
        (["--max-new-tokens", "0"], "max_new_tokens: "),
        (["--batch", "0"], "wave_rows: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_told_before_the_model_is_looked_for(
    run: Run, tmp_path: Path, options: list[str], words: str
) -> None:
    assert words in only_mistake(run("parity", "no-such-model", *options))
    assert not (tmp_path / "steergauge.db").exists()


def test_it_says_what_it_found_and_writes_what_was_asked(
    run: Run, phantom: Phantom, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    done = run("parity", phantom.folder, *SMALL, "--html", "p.html", "--json", "p.json", "--csv", "p.csv")
    assert done.code == 0, done.err
    assert f"reads one direction on {phantom.folder}." in done.out.replace("\n", "")
    for words in (
        "hidden_states",
        "first row steered",
        "A gap like the study's",
        "written: ",
    ):
        assert words in done.out
    assert any("outputs of at most 6 tokens" in message for message in caplog.messages)
    assert "reading with each mistake" in done.err
    result = ParityResult.model_validate(json.loads((tmp_path / "p.json").read_text(encoding="utf-8")))
    assert len(result.faults) == 15
    outputs = pd.read_csv(tmp_path / "p.csv", keep_default_na=False)
    assert len(outputs) == result.provenance.generations
    assert "<html" in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_without_faults_it_compares_the_tools(run: Run, phantom: Phantom, tmp_path: Path) -> None:
    done = run("parity", phantom.folder, *SMALL, "--no-faults", "--json", "p.json")
    assert done.code == 0, done.err
    assert "The tools" in done.out
    assert "mistakes" not in done.out
    assert json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))["faults"] == []
