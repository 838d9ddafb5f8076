"""The commands for people's labels: what they print, and their mistakes in one line."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from commands import Run, only_mistake
from labelled_store import TEXTS, fill
from steergauge.judging.label import Label
from steergauge.steering.engine import Decoding, Generation, Request, StopRule
from steergauge.steering.steering import Steering
from steergauge.store import Addressed, Rating, Setting, Store


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A store that two raters have read; they differ on one output."""
    path = tmp_path / "labelled.db"
    with_labels = {
        TEXTS[0]: Label.REFUSAL,
        TEXTS[2]: Label.GARBLED,
        TEXTS[4]: Label.GARBLED,
        TEXTS[5]: Label.GARBLED,
    }
    texts = fill(path)
    with Store(path) as store:
        for key, text in texts.items():
            label = with_labels.get(text, Label.NORMAL)
            store.rate(Rating(key, "anna", 1, label, ""))
            store.rate(Rating(key, "ben", 1, Label.GARBLED if key == "2.0-1" else label, ""))
            store.rate(Rating(key, "anna", 2, label, ""))
    return path


def test_agreement_prints_raters_judges_and_corrected_rates(run: Run, labelled: Path) -> None:
    outcome = run("agreement", labelled)
    assert outcome.code == 0
    assert "anna, second time against first: κ 1.00" in outcome.out
    assert "ben against anna: κ 0.8" in outcome.out
    assert "Krippendorff's α 0.8" in outcome.out
    for judge in ("gauge", "study"):
        assert f"\n{judge}  κ " in outcome.out
    assert "add 2 from block 0" in outcome.out
    assert "1 of 6" in outcome.out


def test_disagreements_are_written_with_their_texts(run: Run, labelled: Path, tmp_path: Path) -> None:
    assert run("agreement", labelled, "--disagreements", "d.csv").code == 0
    table = pd.read_csv(tmp_path / "d.csv", keep_default_na=False)
    assert {"key", "prompt", "text", "anna", "ben", "gauge", "study"} == set(table.columns)
    row = table[table["key"] == "2.0-1"].iloc[0]
    assert (row["anna"], row["ben"], row["text"]) == ("normal", "garbled", TEXTS[1])


def test_a_store_that_nobody_labelled_says_what_to_do(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "new.db")
    assert "nobody has labelled new.db yet: steergauge label new.db" in only_mistake(
        run("agreement", "new.db")
    )


@pytest.mark.parametrize("command", ["agreement", "label"])
def test_a_store_that_is_not_there_is_told(run: Run, tmp_path: Path, command: str) -> None:
    assert "there is no store missing.db" in only_mistake(run(command, "missing.db"))
    assert not (tmp_path / "missing.db").exists()


def test_an_empty_store_is_told_before_a_page_is_opened(run: Run, tmp_path: Path) -> None:
    with Store(tmp_path / "empty.db"):
        pass
    assert "holds no outputs to label" in only_mistake(run("label", "empty.db"))


def test_a_taken_port_is_told(run: Run, tmp_path: Path) -> None:
    import socket

    fill(tmp_path / "new.db")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = only_mistake(run("label", "new.db", "--port", port, "--no-browser"))
    assert f"port {port} cannot be used" in line


def test_a_missing_extra_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "new.db")
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "uvicorn":
            raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "pip install 'steergauge[label]'" in only_mistake(run("label", "new.db"))


def test_judges_prints_each_judges_score_on_the_test_part(run: Run) -> None:
    outcome = run("judges")
    assert outcome.code == 0
    for judge in ("gauge", "study"):
        assert f"{judge}  κ 0." in outcome.out
    for words in ("gold precision recall refusal garbled normal", "95% intervals"):
        assert words in " ".join(outcome.out.split())


def test_peoples_labels_are_exported_as_given(run: Run, labelled: Path, tmp_path: Path) -> None:
    assert run("export", labelled, "ratings.csv", "--ratings").code == 0
    table = pd.read_csv(tmp_path / "ratings.csv", keep_default_na=False)
    with Store(labelled) as store:
        given = [(one.key, one.rater, one.showing, one.label.value, one.note) for one in store.ratings()]
    assert list(table.itertuples(index=False, name=None)) == given
    assert len(given) == 36


def test_agreement_says_how_many_outputs_ended_early(run: Run, labelled: Path) -> None:
    assert "ended early" not in run("agreement", labelled).out
    steering = Steering(np.eye(4, dtype=np.float32)[0], np.ones(2), 0)
    decoding = Decoding(5, stop=StopRule("by a judge", lambda tokens, left: True))
    short = Addressed("short", Request("a prompt", steering, decoding), "rendered")
    with Store(labelled) as store:
        store.add(Setting("model", "engine"), [(short, Generation("no no no", (1,), "decided"))])
    outcome = run("agreement", labelled)
    assert outcome.code == 0
    assert "1 outputs ended early" in outcome.out
