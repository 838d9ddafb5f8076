import io
import re

import pytest
from rich.console import Console

from steergauge.report.terminal import SweepProgress, render
from steergauge.report.words import rate_words
from steergauge.studies.result import GaugeResult

from .example import example, invalid_example, two_methods_example


def printed(result: GaugeResult, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    render(result, console)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 120])
def test_verdict_and_every_cell_fit_the_width(width: int) -> None:
    result = example()
    text = printed(result, width)
    assert max(map(len, text.splitlines())) <= width
    assert "is steerable." in re.sub(r"\s+", " ", text)
    for condition in result.conditions:
        cell = f"{100 * (condition.refusal.rate or 0):.0f} / {100 * (condition.garbled.rate or 0):.0f}"
        assert cell in text
    assert "…" not in text


@pytest.mark.parametrize("width", [80, 120])
def test_best_halves_window_control_and_cautions_are_said(width: int) -> None:
    result = example()
    text = re.sub(r"\s+", " ", printed(result, width))
    for words in (
        "reporting half",
        "choosing half",
        "garbled there",
        "lost 0 of 15 prompts, exact McNemar p",
        "as a clamp to",
        "of coordinates lost",
        "leave out the prompts that the unsteered model refuses: 1 of 30",
        "whole set",
        "optimistic",
        "window 0.4–1 × R",
        "beyond random",
    ):
        assert words in text
    for caution in result.verdict.cautions:
        assert f"! {caution}" in text
    assert all(f"seed {seed}" in text for seed in (11, 12, 13, 14, 15))


def test_many_doses_go_on_in_further_tables() -> None:
    result = example()
    condition = result.conditions[0]
    many = [
        condition.model_copy(
            update={"id": str(i), "dose": condition.dose.model_copy(update={"value": 100.0 + i})}
        )
        for i in range(20)
    ]
    text = printed(result.model_copy(update={"conditions": many}), 80)
    assert text.count("block 7") == 4
    assert all(str(100 + i) in text for i in range(20))


def test_an_invalid_verdict_renders_without_none() -> None:
    text = printed(invalid_example(), 80)
    assert text.startswith("No verdict on")
    assert "None" not in text
    assert "the random control was not run" in text


def test_a_name_can_neither_mark_up_nor_control_the_terminal() -> None:
    result = example()
    model = result.model.model_copy(update={"name": "[red]evil[/red]\x1b[2J\x07[/nope]"})
    text = printed(result.model_copy(update={"model": model}), 80)
    assert "[red]evil[/red][2J[/nope] is steerable." in text
    assert "\x1b" not in text


def test_a_failed_check_is_said() -> None:
    result = example()
    checks = [result.checks[0].model_copy(update={"passed": False})]
    assert "check failed: dose 0" in printed(result.model_copy(update={"checks": checks}), 80)


def test_progress_shows_rows_speed_and_time_left_in_a_terminal() -> None:
    file = io.StringIO()
    with SweepProgress(100, console=Console(file=file, force_terminal=True, width=120)) as progress:
        progress.advance(25, 500)
        progress.advance(25, 500)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", file.getvalue())
    assert "50/100" in text
    assert "tokens/s" in text
    assert re.search(r"left.*\d:\d\d|left.*--", text)


def test_progress_in_a_log_is_a_line_each_tenth() -> None:
    file = io.StringIO()
    with SweepProgress(100, "sweep", Console(file=file, width=120)) as progress:
        for _ in range(50):
            progress.advance(2, 40)
    lines = file.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[-1] == "sweep: 100 of 100 rows, 2000 tokens"


def test_progress_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with SweepProgress(1) as progress:
        progress.advance(1, 20)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1 of 1 rows" in captured.err


def test_stages_count_on_their_own() -> None:
    file = io.StringIO()
    with SweepProgress(console=Console(file=file, width=120)) as progress:
        progress.begin("unsteered", 2)
        progress.advance(2, 10)
        progress.begin("sweep", 4)
        progress.advance(4, 10)
    assert file.getvalue().splitlines() == [
        "unsteered: 2 of 2 rows, 10 tokens",
        "sweep: 4 of 4 rows, 10 tokens",
    ]


def test_methods_are_compared_where_there_are_several() -> None:
    result = two_methods_example()
    shown = " ".join(printed(result, 120).split())
    compared = result.side_by_side
    assert compared
    assert "block 9, chosen by svd" in shown
    for outcome in compared.own_best:
        assert rate_words(outcome.best.reported_on) in shown
    assert "chosen by" not in printed(example(), 120)
