"""A study as a page, in a terminal, as LaTeX and as files, with whatever a model wrote in it."""

import io
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from steergauge.errors import SteergaugeError
from steergauge.report.figures import BOTTOM, LEFT, RIGHT, TOP
from steergauge.report.study_figures import study_chart
from steergauge.report.study_files import write_study
from steergauge.report.study_latex import escape, figure_latex, matrix_latex, table_latex
from steergauge.report.study_list import render_list
from steergauge.report.study_page import study_outputs, study_page
from steergauge.report.study_terminal import render_study
from steergauge.report.study_tracks import LEFT as TRACK_LEFT
from steergauge.report.study_tracks import RIGHT as TRACK_RIGHT
from steergauge.report.study_tracks import study_tracks
from steergauge.report.study_words import cell_words
from steergauge.studies.experiments.table import EXPERIMENTS
from steergauge.studies.measurements import Rate
from steergauge.studies.study_result import (
    Cell,
    Column,
    ColumnKind,
    Estimate,
    FigurePoint,
    Matrix,
    Series,
    StudyFigure,
    StudyResult,
    StudyTable,
)

from .example import HOSTILE
from .study_example import INVENTED, study_example

STUDIES = {name: study_example(name) for name in INVENTED}
HOSTILE_STUDIES = {name: study_example(name, hostile=True) for name in INVENTED}
MATRIX = Matrix(
    name="transfer",
    title="From & to",
    rows_label="source",
    columns_label="target",
    rows=("a_1", f"b {HOSTILE}"),
    columns=("c", "d"),
    values=((0.0, None), (1.0, 0.25)),
    words=(("0%", "–"), ("100%", "25%")),
)
LONG = "some-organisation/a-model-with-a-very-long-name-70B-Instruct"


def with_matrix(result: StudyResult) -> StudyResult:
    return result.model_copy(update={"figures": (*result.figures, MATRIX)})


def printed(result: StudyResult, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    render_study(result, console)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def figure(*series: Series, **changes: object) -> StudyFigure:
    given = {"name": "f", "title": "t", "x_label": "x", "y_label": "y", "series": series} | changes
    return StudyFigure.model_validate(given)


def line(*at: tuple[float | str, float], name: str = "one") -> Series:
    return Series(name=name, points=tuple(FigurePoint(x=x, y=y, low=y - 0.1, high=y + 0.1) for x, y in at))


# Words


@pytest.mark.parametrize(
    ("cell", "kind", "words"),
    [
        (Rate(count=9, n=10, rate=0.9, low=0.6, high=0.98), ColumnKind.RATE, "90% [60–98]"),
        (Rate(count=0, n=0, rate=None, low=0, high=1), ColumnKind.RATE, "–"),
        (Estimate(value=-0.3, low=-0.5, high=0.1), ColumnKind.POINTS, "−30 [−50 to +10]"),
        (Estimate(value=0.5, low=0.25, high=0.75), ColumnKind.SHARE, "50% [25%–75%]"),
        (Estimate(value=2.5), ColumnKind.NUMBER, "2.5"),
        (Estimate(value=None), ColumnKind.NUMBER, "–"),
        (None, ColumnKind.NUMBER, "–"),
        (True, ColumnKind.TEXT, "yes"),
        (False, ColumnKind.NUMBER, "no"),
        (0, ColumnKind.NUMBER, "0"),
        (-1.5, ColumnKind.NUMBER, "−1.5"),
        (0.9999, ColumnKind.COSINE, ">0.99"),
        (0.00001, ColumnKind.P_VALUE, "< 0.001"),
        ("a text", ColumnKind.RATE, "a text"),
    ],
)  # fmt: skip
def test_cells_are_written_as_their_kind_says(cell: Cell, kind: ColumnKind, words: str) -> None:
    assert cell_words(cell, kind) == words


# Geometry


def test_values_stand_to_scale_and_ends_within_the_chart() -> None:
    chart = study_chart(figure(line((0.1, 0.0), (0.5, 0.5), (0.9, 1.0)), x_share=True))
    xs, ys = zip(*((point.x, point.y) for point in chart.lines[0].points), strict=True)
    assert ys == (BOTTOM, (BOTTOM + TOP) / 2, TOP)
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.11)
    assert LEFT < xs[0] < xs[2] < RIGHT
    assert [tick.text for tick in chart.x_ticks] == ["10%", "50%", "90%"]


def test_a_logarithmic_axis_has_equal_ratios_equally_far() -> None:
    chart = study_chart(figure(line((0.1, 0.5), (1, 0.5), (10, 0.5)), logarithmic=True))
    xs = [point.x for point in chart.lines[0].points]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.11)


def test_labels_of_an_axis_never_overlap_and_none_is_drawn_for_nothing() -> None:
    crowded = [(at / 37, 0.5) for at in range(38)]
    ticks = study_chart(figure(line(*crowded), x_share=True)).x_ticks
    ends = [(tick.at - 2.75 * len(tick.text), tick.at + 2.75 * len(tick.text)) for tick in ticks]
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(ends))
    assert len(ticks) > 4


def test_series_at_one_place_stand_beside_each_other_in_colours_of_their_own() -> None:
    chart = study_chart(figure(*(line((1, 0.5), (2, 0.5), name=str(at)) for at in range(8))))
    assert len({drawn.points[0].x for drawn in chart.lines}) == 8
    assert len({drawn.role for drawn in chart.lines}) == 8


def test_values_that_are_no_shares_have_round_steps_around_them_and_zero() -> None:
    chart = study_chart(figure(line((1, -3.2), (2, 7.4)), share=False, threshold=5))
    assert [tick.text for tick in chart.y_ticks] == ["−5", "0", "5", "10"]
    assert all(TOP <= point.y <= BOTTOM for point in chart.lines[0].points)
    assert chart.threshold == pytest.approx((BOTTOM - TOP) / 3 + TOP, abs=0.1)
    one = study_chart(figure(line((1, 0.0)), share=False))
    assert one.lines[0].points[0].x == pytest.approx((LEFT + RIGHT) / 2)


def test_names_stand_over_lines_of_their_own_whatever_their_length() -> None:
    names = [f"{LONG}-{at}" for at in range(9)]
    tracks = study_tracks(
        figure(line(*((name, 0.5) for name in names)), line((names[0], 1.0), name="two"), threshold=0.6)
    )
    assert [row.name for row in tracks.rows] == names
    ys = [y for row in tracks.rows for y in (row.y, *(point.y for point in row.points))]
    assert all(after - before >= 12 for before, after in itertools.pairwise(ys))
    assert max(ys) < tracks.bottom
    assert [point.x for point in tracks.rows[0].points] == [(TRACK_LEFT + TRACK_RIGHT) / 2, TRACK_RIGHT]


# Page


@pytest.mark.parametrize("name", INVENTED)
def test_nothing_hostile_stands_outside_escapes(name: str) -> None:
    html = study_page(HOSTILE_STUDIES[name])
    assert "<script>window" not in html
    assert "<img" not in html
    assert "&lt;/script&gt;&lt;script&gt;window.hacked=1&lt;/script&gt;" in html


@pytest.mark.parametrize("name", INVENTED)
def test_every_table_and_figure_is_on_the_page_and_every_row_of_conditions_opens_its_outputs(
    name: str,
) -> None:
    result = with_matrix(STUDIES[name])
    html = study_page(result)
    for titled in (*result.tables, *result.figures):
        assert titled.title.replace("'", "&#39;").replace("&", "&amp;", 1 if titled is MATRIX else 0) in html
    openers = set(re.findall(r'data-condition="([^"]*)"', html)) - {"*"}
    groups = {group["id"] for group in study_outputs(result)["groups"]}
    assert openers <= groups
    assert len(openers) >= len(result.gauges)


def test_every_output_of_every_gauge_is_embedded_under_its_own_control() -> None:
    result = STUDIES["scale"]
    data = study_outputs(result)
    assert len(data["outputs"]) == sum(len(gauge.generations) for gauge in result.gauges.values())
    groups = {group["id"]: group for group in data["groups"]}
    assert len(groups) == len(data["groups"])
    assert {group["control"] for group in groups.values()} == {
        f"{label}: unsteered" for label in result.gauges
    }
    assert all(group["id"].startswith(f"{group['heading']}: ") for group in groups.values())
    texts = sorted(row[3] for row in data["outputs"])
    assert texts == sorted(one.text for gauge in result.gauges.values() for one in gauge.generations)


def test_gauges_whose_labels_begin_alike_keep_their_outputs_apart() -> None:
    result = STUDIES["depth"]
    first, second = list(result.gauges.values())[:2]
    alike = result.model_copy(update={"gauges": {"a": first, "a: unsteered": second, "a: b": first}})
    data = study_outputs(alike)
    for label, gauge in alike.gauges.items():
        own = [at for at, group in enumerate(data["groups"]) if group["heading"] == label]
        texts = sorted(row[3] for row in data["outputs"] if row[0] in own)
        assert texts == sorted(one.text for one in gauge.generations)


def test_equal_results_write_equal_pages() -> None:
    assert study_page(STUDIES["dose"]) == study_page(study_example("dose"))


# Terminal


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", INVENTED)
def test_a_study_fits_the_terminal_and_no_number_is_cut(name: str, width: int) -> None:
    result = with_matrix(study_example(name, "qwen2.5-coder-0.5b", "mistral-7b-v0.3", LONG))
    text = printed(result, width)
    assert max(map(len, text.splitlines())) <= width
    tokens = set(text.split())
    for table in result.tables:
        for column in table.columns:
            if column.kind is not ColumnKind.TEXT:
                for row in table.rows:
                    assert set(cell_words(row.get(column.key), column.kind).split()) <= tokens | {"–"}


def test_conclusions_notes_and_cautions_are_said() -> None:
    result = STUDIES["scale"]
    text = flat(printed(result, 100))
    for conclusion in result.conclusions:
        assert f"{conclusion.outcome}: {conclusion.claim}" in text
        assert conclusion.evidence in text
    for words in (*result.cautions, *(note for table in result.tables for note in table.notes)):
        assert words in text


@pytest.mark.parametrize("name", INVENTED)
def test_a_terminal_gets_no_control_sequence_from_a_text(name: str) -> None:
    text = printed(with_matrix(HOSTILE_STUDIES[name]), 100)
    assert "\x1b" not in text
    assert "window.hacked=1" in re.sub(r"\s", "", text)


def test_what_rows_have_in_common_is_said_once() -> None:
    text = printed(study_example("depth", "qwen2.5-coder-0.5b"), 100)
    conditions = text.split("The best depth")[0]
    assert conditions.count("qwen2.5-coder-0.5b") == 1


def test_the_list_has_every_name_and_question() -> None:
    console = Console(file=io.StringIO(), width=60, color_system=None)
    render_list(console)
    file = console.file
    assert isinstance(file, io.StringIO)
    text = flat(file.getvalue())
    assert all(name in text and listed.question.split()[-1] in text for name, listed in EXPERIMENTS.items())


# LaTeX


def test_no_text_can_end_a_cell_a_row_or_a_command() -> None:
    text = r"\end{tabular} a & b % c $x$ #1 _y^2 ~ {z} <b> \\ " + "\x1b[31m\x00\u202e" + '"q" α – −'
    escaped = escape(text)
    left = escaped
    for allowed in (
        r"\textbackslash{}", r"\textasciicircum{}", r"\textasciitilde{}", r"\textless{}", r"\textgreater{}",
        r"\&", r"\%", r"\$", r"\#", r"\_", r"\{", r"\}", r"$\alpha$", "$-$",
    ):  # fmt: skip
        left = left.replace(allowed, "")
    assert not set(left) & set('\\&%$#_{}~^<>"\x1b\x00\u202e')
    assert [escape(start) for start in ("[2ex]", "*x")] == ["{[}2ex]", "{*}x"]


@pytest.mark.parametrize("name", INVENTED)
def test_a_table_has_as_many_cells_a_row_as_columns_whatever_stands_in_it(name: str) -> None:
    for table in HOSTILE_STUDIES[name].tables:
        latex = table_latex(table)
        body = latex.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
        assert len(body) == len(table.rows)
        for row in body:
            assert row.endswith(r" \\")
            assert len(re.findall(r"(?<!\\)&", row)) == len(table.columns) - 1
        assert latex.count(r"\end{tabular}") == latex.count(r"\begin{table}") == 1
        assert r"\textbackslash{}end\{tabular\}" in latex


def test_headings_may_repeat_and_long_texts_are_set_in_lines() -> None:
    table = StudyTable(
        name="t",
        title="A title",
        columns=tuple(Column(key=key, title="Same") for key in "ab"),
        rows=({"a": "short", "b": "long " * 20},),
    )
    latex = table_latex(table)
    assert "Same & Same" in latex
    assert r"\begin{tabular}{lp{4cm}}" in latex


def test_a_matrix_is_a_table_with_its_words() -> None:
    latex = matrix_latex(MATRIX)
    assert r"source / target & c & d \\" in latex
    assert r"a\_1 & 0\% & -- \\" in latex


def test_a_figure_is_set_from_numbers_with_names_as_labels_only() -> None:
    hostile = "a,b] \\end{axis} {c}"
    latex = figure_latex(figure(line((hostile, 0.5), ("d", 0.25))))
    assert r"xticklabels={{a,b] \textbackslash{}end\{axis\} \{c\}},{d}}" in latex
    assert re.findall(r"\((\S+),(\S+)\) \+= \(0,(\S+)\) -= \(0,(\S+)\)", latex) == [
        ("0", "0.5", "0.1", "0.1"),
        ("1", "0.25", "0.1", "0.1"),
    ]
    scaled = figure_latex(figure(line((0.5, 0.5), (2, 0.25)), logarithmic=True))
    assert "xmode=log" in scaled
    assert "(0.5,0.5)" in scaled
    assert scaled.count(r"\end{axis}") == latex.count(r"\end{axis}") == 1


# Files


@pytest.mark.parametrize("name", INVENTED)
def test_a_folder_has_the_page_the_result_and_every_table_and_figure(name: str, tmp_path: Path) -> None:
    result = with_matrix(HOSTILE_STUDIES[name])
    assert write_study(result, tmp_path / "out") == tmp_path / "out" / "report.html"
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")}
    named = [f"tables/{one.name}" for one in result.tables] + [
        f"figures/{one.name}" for one in result.figures
    ]
    assert written == {"report.html", "result.json", "outputs.csv"} | {
        f"{one}.{kind}" for one in named for kind in ("csv", "tex")
    }
    told = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert told["schema"] == "steergauge.study/1"
    assert told["study"] == name


@pytest.mark.parametrize("name", INVENTED)
def test_tables_and_outputs_read_back_from_csv_as_they_were(name: str, tmp_path: Path) -> None:
    result = HOSTILE_STUDIES[name]
    write_study(result, tmp_path)
    for table in result.tables:
        read = pd.read_csv(tmp_path / "tables" / f"{table.name}.csv", keep_default_na=False, na_values=[""])
        # A column without a value is none of numbers and none of texts.
        pd.testing.assert_frame_equal(read, table.to_pandas().fillna(np.nan), check_dtype=False)
    for drawn in result.figures:
        read = pd.read_csv(tmp_path / "figures" / f"{drawn.name}.csv")
        pd.testing.assert_frame_equal(read, drawn.to_pandas(), check_dtype=False)
    outputs = pd.read_csv(tmp_path / "outputs.csv", keep_default_na=False)
    texts = [(label, one.text) for label, gauge in result.gauges.items() for one in gauge.generations]
    assert list(zip(outputs["gauge"], outputs["text"], strict=True)) == texts


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SteergaugeError, match=r"cannot make the folder .*file"):
        write_study(STUDIES["depth"], tmp_path / "file")
