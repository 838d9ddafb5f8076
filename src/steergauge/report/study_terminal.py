"""A study in a terminal: its conclusions, tables and figures."""

from collections.abc import Sequence
from itertools import takewhile

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from steergauge.report.study_figures import value_range
from steergauge.report.study_words import cell_words, value_words, x_words
from steergauge.report.terminal import item, plain
from steergauge.studies.study_result import (
    Column,
    ColumnKind,
    FigurePoint,
    Matrix,
    Outcome,
    StudyFigure,
    StudyResult,
    StudyTable,
)

_COLOUR = {Outcome.SUPPORTED: "green", Outcome.NOT_SUPPORTED: "red", Outcome.UNDECIDED: "yellow"}
_TRACK = 30
_NAME = 12  # characters of a name that stay on a line
_UNBROKEN = "\u00a0"  # a space at which no line ends


def render_study(result: StudyResult, console: Console) -> None:
    """Prints what was asked, what is concluded, and every table and figure."""
    console.print(plain(f"{result.study}: {result.question}", "bold"))
    for conclusion in result.conclusions:
        outcome = (f"{conclusion.outcome}: ", f"bold {_COLOUR[conclusion.outcome]}")
        console.print(Text.assemble(outcome, plain(conclusion.claim)))
        item(console, "", conclusion.evidence)
    for table in result.tables:
        console.print()
        console.print(plain(table.title, "bold"))
        console.print(_table(table, console.width))
        for note in table.notes:
            item(console, "", note)
    for figure in result.figures:
        console.print()
        console.print(plain(figure.title, "bold"))
        console.print(_matrix(figure) if isinstance(figure, Matrix) else _figure(figure))
    if result.cautions:
        console.print()
    for caution in result.cautions:
        item(console, "!", caution, "yellow")


def _table(table: StudyTable, width: int) -> Table:
    """The table as it fits: as it is, with intervals below their values, or a paragraph a row."""
    for between in (" ", "\n"):
        cells = [
            [cell_words(row.get(column.key), column.kind, between) for column in table.columns]
            for row in table.rows
        ]
        widths = [_width(column, [row[at] for row in cells]) for at, column in enumerate(table.columns)]
        left = width - sum(widths) - len(widths)
        if left >= 0:
            of_text = sum(column.kind is ColumnKind.TEXT for column in table.columns)
            return _upright(table.columns, cells, widths, left // max(of_text, 1))
    return _in_paragraphs(table)


def _width(column: Column, cells: Sequence[str]) -> int:
    """The least width at which a column can be read: text breaks anywhere, headings between words, numbers nowhere."""
    of_cells = max((len(line) for cell in cells for line in cell.splitlines()), default=0)
    if column.kind is ColumnKind.TEXT:
        of_cells = min(of_cells, _NAME)
    return max(of_cells, *map(len, column.title.split()))


def _upright(
    columns: Sequence[Column], cells: Sequence[Sequence[str]], widths: Sequence[int], to_text: int
) -> Table:
    drawn = Table(box=None, padding=(0, 1), collapse_padding=True, pad_edge=False, header_style="dim")
    for column, width in zip(columns, widths, strict=True):
        if column.kind is ColumnKind.TEXT:
            # Bounded: rich would take what a long text wants from the numbers.
            drawn.add_column(plain(column.title), overflow="fold", min_width=width, max_width=width + to_text)
        else:
            drawn.add_column(plain(column.title), justify="right", width=width)
    before: Sequence[str] = ()
    for row in cells:
        # What a row's first columns have in common with the row before is said once.
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, row, strict=False)))
        said_once = min(same, _names(columns))
        drawn.add_row(*(plain("" if at < said_once else cell) for at, cell in enumerate(row)))
        before = row
    return drawn


def _names(columns: Sequence[Column]) -> int:
    """How many columns name a row: those of text before the first of numbers."""
    return sum(1 for _ in takewhile(lambda column: column.kind is ColumnKind.TEXT, columns))


def _in_paragraphs(table: StudyTable) -> Table:
    drawn = Table(box=None, padding=0, show_header=False)
    names = max(_names(table.columns), 1)
    for row in table.rows:
        heading = [cell_words(row.get(column.key), column.kind) for column in table.columns[:names]]
        drawn.add_row(plain(" · ".join(heading), "bold"))
        said = Text()
        for column in table.columns[names:]:
            cell = row.get(column.key)
            if cell is not None:
                said.append_text(Text(_unbroken(f"{column.title} "), style="dim"))
                said.append_text(plain(_unbroken(cell_words(cell, column.kind))))
                said.append("   ")
        drawn.add_row(Padding(said, (0, 0, 0, 2)))
    return drawn


def _unbroken(text: str) -> str:
    """A short text that stays on its line."""
    return text.replace(" ", _UNBROKEN) if len(text) <= _TRACK else text


def _figure(figure: StudyFigure) -> Table:
    drawn = Table(box=None, padding=(0, 1), show_header=False)
    drawn.add_column(overflow="fold")
    for _ in range(2):
        drawn.add_column(no_wrap=True)
    low, high = value_range(figure)
    for series in figure.series:
        drawn.add_row(plain(series.name, "bold"))
        for point in series.points:
            drawn.add_row(
                Padding(plain(x_words(figure, point.x)), (0, 0, 0, 2)),
                plain(_track(point, low, high), "cyan"),
                plain(value_words(figure, point.y)),
            )
    return drawn


def _track(point: FigurePoint, low: float, high: float) -> str:
    """A point and its interval as a line of characters."""

    def place(value: float) -> int:
        return round((min(max(value, low), high) - low) / (high - low) * (_TRACK - 1))

    line = ["·"] * _TRACK
    if point.low is not None and point.high is not None:
        for index in range(place(point.low), place(point.high) + 1):
            line[index] = "─"
    line[place(point.y)] = "●"
    return "".join(line)


def _matrix(matrix: Matrix) -> Table:
    drawn = Table(box=None, padding=(0, 1), header_style="dim")
    drawn.add_column(plain(f"{matrix.rows_label} ↓ {matrix.columns_label} →"))
    for name in matrix.columns:
        drawn.add_column(plain(name), justify="right")
    for name, said in zip(matrix.rows, matrix.words, strict=True):
        drawn.add_row(plain(name, "bold"), *(plain(one) for one in said))
    return drawn
