"""`steergauge audit` as a user calls it."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd

from commands import Run, only_mistake


def test_the_study_is_audited_and_written(run: Run, tmp_path: Path) -> None:
    outcome = run("audit", "--json", "audit.json", "--csv", "audit.csv")
    assert outcome.code == 0
    assert outcome.err == ""
    assert outcome.out.index("p = 0.005 → p = 1.8e-7") < outcome.out.index("Holds; nothing to object")
    written = json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))
    assert written["schema"] == "steergauge.audit/1"
    assert len(written["findings"]) == len(pd.read_csv(tmp_path / "audit.csv"))


def test_a_table_is_audited(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("condition,successes,n,unique_prompts\nsteered,30,50,10\n")
    outcome = run("audit", "mine.csv")
    assert outcome.code == 0
    assert "Audit of mine.csv" in outcome.out
    assert "n = 50, 10 prompts" in outcome.out


def test_a_bad_table_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("condition,successes,n\nsteered,60,50\n")
    assert "mine.csv, line 2: 60 successes among n = 50 cannot be" in only_mistake(run("audit", "mine.csv"))
    assert "cannot read nothing.csv" in only_mistake(run("audit", "nothing.csv"))


def test_it_imports_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; sys.argv = ['steergauge', 'audit']\n"
        "from steergauge import cli\n"
        "try: cli.main()\n"
        "except SystemExit as ended: assert not ended.code\n"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'a model was imported'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
