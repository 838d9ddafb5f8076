"""A parity study in words, in the terminal, as a figure and as a page."""

import io
import re

import pytest
from rich.console import Console

from steergauge.report import parity_figure
from steergauge.report.parity_figure import (
    COSINE_LEFT,
    COSINE_RIGHT,
    RATE_LEFT,
    RATE_RIGHT,
    dot_plot,
    sources,
)
from steergauge.report.parity_page import outputs, parity_page
from steergauge.report.parity_terminal import render_parity
from steergauge.report.parity_words import cosine, findings, headline

from .example import HOSTILE
from .parity_example import parity_example
from .test_html import embedded_data, visible

RESULT = parity_example()
PAGE = parity_page(RESULT)


def test_the_headline_counts_the_tools_that_were_measured() -> None:
    name = RESULT.model.name
    assert headline(RESULT) == f"1 of 2 tools read something else on {name}."
    right, missing, _ = RESULT.backends
    agreeing = RESULT.model_copy(update={"backends": [right, missing]})
    assert headline(agreeing) == f"Every tool that was measured reads one direction on {name}."
    assert headline(RESULT.model_copy(update={"backends": [missing]})).startswith("No tool but hooks")


def test_findings_name_each_mistake_where_it_shows_with_its_blocks() -> None:
    said = dict(findings(RESULT))
    assert said["Visible in the cosine"] == "no chat template."
    assert said["No direction"] == "first token."
    assert said["Only in the behaviour"] == "first row steered (block 12)."
    assert said["Undecided"] == "off-by-one block (block 12), first row steered (block 9)."
    assert said["Harmless here"] == "bfloat16, off-by-one block (block 9)."
    assert said["A gap like the study's"] == "no chat template (block 12), first row steered (block 12)."
    assert said["Not possible here"] == "doubled BOS: its tokenizer adds no special tokens."
    assert said["Goes not unnoticed"] == "float16: RuntimeError: not implemented for 'Half'."
    assert said["Not measured"].endswith("pip install 'steergauge[nnsight]'.")
    assert "hidden_states supported" in said["Against hooks"]
    assert "pyvene silently wrong (relative error 1e-06, lowest cosine 0.200" in said["Against hooks"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.000"),
        (0.99999999, "1.000"),
        (0.999996, "0.999996"),
        (0.9994, "0.999"),
        (-0.5, "−0.500"),
        (None, "–"),
    ],
)
def test_a_cosine_reads_1_only_where_it_is(value: float | None, text: str) -> None:
    assert cosine(value) == text


def test_the_figure_puts_each_mark_where_its_numbers_are() -> None:
    plot = dot_plot(RESULT)
    rows = {row.name: row for row in plot.rows}
    assert list(rows) == [name for name, at in sources(RESULT) if at]
    mark = rows["no chat template"].marks[1]
    assert (mark.block, mark.role, mark.gap) == ("12", "cosine", True)
    assert mark.cosine == pytest.approx(COSINE_LEFT + 0.3 * (COSINE_RIGHT - COSINE_LEFT), abs=0.1)
    assert mark.rate == pytest.approx(RATE_LEFT + 4 / 30 * (RATE_RIGHT - RATE_LEFT), abs=0.1)
    assert mark.right == pytest.approx(RATE_LEFT + 0.9 * (RATE_RIGHT - RATE_LEFT), abs=0.1)
    assert mark.text == "block 12: cosine −0.400, refusal 13%, right direction 90%"
    assert [one.cosine for one in rows["first row steered"].marks] == [None, None]
    assert [one.rate for one in rows["first token"].marks] == [None, None]
    ys = [mark.y for row in plot.rows for mark in row.marks]
    assert ys == sorted(set(ys))
    assert max(ys) < plot.height
    assert plot.unsteered == pytest.approx(RATE_LEFT + 0.1 * (RATE_RIGHT - RATE_LEFT), abs=0.1)
    assert plot.least_cosine == pytest.approx(COSINE_LEFT + 0.975 * (COSINE_RIGHT - COSINE_LEFT), abs=0.1)
    assert set(parity_figure.ROLE.values()) <= {"cosine", "behaviour", "undecided", "harmless"}


def test_the_terminal_shows_every_tool_and_mistake_in_80_columns() -> None:
    written = io.StringIO()
    render_parity(RESULT, Console(file=written, width=80))
    text = written.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    for name, _ in sources(RESULT):
        assert re.search(rf"^{re.escape(name)} ", text, re.MULTILINE), name
    for words in ("not possible", "raises", "behaviour", "gap", "−77", "<0.001", "0.999900"):
        assert words in text


def test_the_page_has_every_number_and_opens_every_output() -> None:
    shown = visible(PAGE)
    groups = {one["id"] for one in outputs(RESULT)["groups"]}
    opened = set(re.findall(r'data-condition="([^"*]+)"', shown))
    assert opened <= groups
    assert {one.outputs.condition for source in RESULT.faults for one in source.at if one.outputs} <= opened
    assert len(embedded_data(PAGE)["outputs"]) == len(RESULT.generations)
    for words in (
        "Not possible on this model",
        "a gap like the study's",
        "27 of 30",
        *RESULT.protocol.rules[:1],
    ):
        assert words in shown, words
    assert parity_page(RESULT) == PAGE


def test_nothing_that_a_model_wrote_is_executed() -> None:
    assert HOSTILE not in PAGE
    assert "default-src 'none'" in PAGE.replace("&#39;", "'")


def test_a_page_without_mistakes_has_no_section_for_them() -> None:
    page = parity_page(RESULT.model_copy(update={"faults": []}))
    assert 'id="mistakes"' not in page
    assert "#mistakes" not in page
