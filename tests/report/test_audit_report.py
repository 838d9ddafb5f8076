import io
import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from steergauge.report.audit import render_audit
from steergauge.report.tables import write_json, write_rows
from steergauge.studies.audit.finding import Audit, Finding, Stands, sorted_audit


@pytest.fixture
def audit() -> Audit:
    return sorted_audit(
        "a table",
        [
            Finding(id="fine", place="§1", claim="A fine one", published="1", recomputed="1", agrees=True),
            Finding(
                id="bad",
                place="§2",
                claim="A [red]marked-up[/red]\x1b[31m one",
                published="p = 1",
                recomputed="p = 2",
                agrees=False,
                n=50,
                prompts=10,
                due="a test",
                meaning="what to do",
                values={"p": 2.0},
            ),
            Finding(
                id="open",
                place="§3",
                claim="An open one",
                published="",
                recomputed="3",
                stands=Stands.UNDECIDED,
            ),
        ],
    )


def shown(audit: Audit, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    render_audit(audit, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100])
def test_mismatches_come_first_with_their_reasons_at_every_width(audit: Audit, width: int) -> None:
    text = shown(audit, width)
    assert all(len(line) <= width for line in text.splitlines())
    order = [text.index(words) for words in ("p = 1 → p = 2", "An open one", "A fine one")]
    assert order == sorted(order)
    for words in ("n = 50, 10 prompts", "a test", "what to do", "   1 ✗", "   1 ✓"):
        assert words in text


def test_a_claim_can_neither_mark_itself_up_nor_steer_the_terminal(audit: Audit) -> None:
    text = shown(audit, 80)
    assert "[red]marked-up[/red]" in text
    assert "\x1b" not in text


def test_what_is_written_reads_back(audit: Audit, tmp_path: Path) -> None:
    write_json(audit, tmp_path / "audit.json")
    assert Audit.model_validate_json((tmp_path / "audit.json").read_text(encoding="utf-8")) == audit
    write_rows(audit, tmp_path / "audit.csv")
    table = pd.read_csv(tmp_path / "audit.csv", keep_default_na=False)
    assert list(table["id"]) == ["bad", "open", "fine"]
    assert json.loads(table["values"][0]) == {"p": 2.0}
    assert list(table["outcome"]) == ["number differs", "undecided", "holds"]
