"""A study in a terminal: its conclusions, tables and figures."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from steergauge.report.study_figures import figure_range, track
from steergauge.report.study_words import cell_words, value_words
from steergauge.report.terminal import item, plain
from steergauge.report.words import number
from steergauge.studies.study_result import ColumnKind, Matrix, Outcome, StudyFigure, StudyResult, StudyTable

_COLOUR = {Outcome.SUPPORTED: "green", Outcome.NOT_SUPPORTED: "red", Outcome.UNDECIDED: "yellow"}
_TRACK = 30
_UNBOUNDED = 1000
_SHORT = 4  # rows of a table that stand beside each other


def render_study(result: StudyResult, console: Console) -> None:
    """Prints what was asked, what is concluded, and every table and figure."""
    console.print(plain(f"{result.study}: {result.question}", "bold"))
    for conclusion in result.conclusions:
        console.print(
            Text.assemble(
                (f"{conclusion.outcome}: ", f"bold {_COLOUR[conclusion.outcome]}"), plain(conclusion.claim)
            )
        )
        item(console, "", conclusion.evidence)
    for table in result.tables:
        console.print()
        console.print(plain(table.title, "bold"))
        console.print(_table(table, console))
        for note in table.notes:
            item(console, "", note)
    for figure in result.figures:
        console.print()
        console.print(plain(figure.title, "bold"))
        console.print(_matrix(figure) if isinstance(figure, Matrix) else _figure(figure))
    for caution in result.cautions:
        item(console, "!", caution, "yellow")


def _table(table: StudyTable, console: Console) -> Table:
    """The table as it fits: as it is, on its side where it is short, or else with intervals below their values."""
    drawn = _upright(table, " ")
    unbounded = console.options.update(max_width=_UNBOUNDED)
    if console.measure(drawn, options=unbounded).maximum <= console.width:
        return drawn
    return _on_its_side(table) if len(table.rows) <= _SHORT else _upright(table, "\n")


def _upright(table: StudyTable, between: str) -> Table:
    drawn = Table(box=None, padding=(0, 1), header_style="dim")
    for column in table.columns:
        left = column.kind is ColumnKind.TEXT
        drawn.add_column(column.title, justify="left" if left else "right", overflow="fold")
    for row in table.rows:
        cells = [cell_words(row.get(column.key), column.kind, between) for column in table.columns]
        drawn.add_row(*(plain(cell) for cell in cells))
    return drawn


def _on_its_side(table: StudyTable) -> Table:
    drawn = Table(box=None, padding=(0, 1), show_header=False)
    drawn.add_column(style="dim")
    for column in table.columns:
        drawn.add_row(
            column.title, *(plain(cell_words(row.get(column.key), column.kind)) for row in table.rows)
        )
    return drawn


def _figure(figure: StudyFigure) -> Table:
    drawn = Table(box=None, padding=(0, 1), show_header=False)
    low, high = figure_range([point for one in figure.series for point in one.points], figure.share)
    for series in figure.series:
        for index, point in enumerate(series.points):
            drawn.add_row(
                plain(series.name if index == 0 else "", "bold"),
                plain(point.x if isinstance(point.x, str) else number(point.x)),
                plain(track(point, low, high, _TRACK), "cyan"),
                plain(value_words(figure, point.y)),
            )
    return drawn


def _matrix(matrix: Matrix) -> Table:
    drawn = Table(box=None, padding=(0, 1), header_style="dim")
    drawn.add_column(f"{matrix.rows_label} ↓ {matrix.columns_label} →")
    for name in matrix.columns:
        drawn.add_column(name, justify="right")
    for name, said in zip(matrix.rows, matrix.words, strict=True):
        drawn.add_row(plain(name, "bold"), *(plain(one) for one in said))
    return drawn
