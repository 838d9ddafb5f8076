"""A study's tables and figures as LaTeX, for papers: booktabs and pgfplots."""

import re
import unicodedata
from collections.abc import Sequence

import pandas as pd

from steergauge.report.study_figures import has_scale
from steergauge.report.study_words import cell_words
from steergauge.studies.study_result import ColumnKind, FigurePoint, Matrix, StudyFigure, StudyTable

_SPECIAL = {char: f"\\{char}" for char in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "–": "--",
    "…": r"\dots{}",
    "−": "$-$",
    "×": r"$\times$",
    "≥": r"$\ge$",
    "≤": r"$\le$",
    "α": r"$\alpha$",
    "σ": r"$\sigma$",
    "Δ": r"$\Delta$",
    "‖": r"$\Vert$",
}
_LONG = 40  # characters, past which a column of text is set in lines


def escape(text: str) -> str:
    """Text that LaTeX sets as it is read; what a model wrote cannot end a command or a cell.

    Letters of other scripts stay as they are, for XeLaTeX and LuaLaTeX.
    """
    spaced = re.sub(r"\s+", " ", text)
    shown = "".join(
        char for char in spaced if unicodedata.category(char) not in ("Cc", "Cf", "Co", "Cs", "Cn")
    )
    escaped = "".join(_SPECIAL.get(char, char) for char in shown)
    # After the end of a row these would be read as options of the line break.
    return f"{{{escaped[0]}}}{escaped[1:]}" if escaped[:1] in ("[", "*") else escaped


def table_latex(table: StudyTable) -> str:
    """A table with its caption and notes; needs the package booktabs."""
    cells = [[cell_words(row.get(column.key), column.kind) for column in table.columns] for row in table.rows]
    aligned = [
        _alignment(column.kind, [row[index] for row in cells]) for index, column in enumerate(table.columns)
    ]
    caption = " ".join([f"{table.title}.", *table.notes])
    return _float([column.title for column in table.columns], cells, aligned, caption, f"tab:{table.name}")


def matrix_latex(matrix: Matrix) -> str:
    """A matrix as a table; needs the package booktabs."""
    return _float(
        [f"{matrix.rows_label} / {matrix.columns_label}", *matrix.columns],
        [[name, *said] for name, said in zip(matrix.rows, matrix.words, strict=True)],
        ["l", *("r" for _ in matrix.columns)],
        f"{matrix.title}.",
        f"fig:{matrix.name}",
    )


def _alignment(kind: ColumnKind, cells: Sequence[str]) -> str:
    if kind is not ColumnKind.TEXT:
        return "r"
    return "p{4cm}" if max(map(len, cells), default=0) > _LONG else "l"


def _float(
    headings: Sequence[str], cells: Sequence[Sequence[str]], aligned: Sequence[str], caption: str, label: str
) -> str:
    frame = pd.DataFrame([[escape(cell) for cell in row] for row in cells], columns=range(len(headings)))
    # pandas takes labels for format strings.
    labels = [escape(one).replace("{", "{{").replace("}", "}}") for one in headings]
    styled = frame.style.hide(axis="index").relabel_index(labels, axis="columns")
    latex: str = styled.to_latex(
        hrules=True,
        column_format="".join(aligned),
        caption=escape(caption),
        label=label,
        position="ht",
        position_float="centering",
    )
    return latex


def figure_latex(figure: StudyFigure) -> str:
    """A figure with its intervals as error bars; needs the package pgfplots."""
    # Names stand at 0, 1, 2 … and are given as labels: as coordinates, some characters would end them.
    names = list(dict.fromkeys(point.x for series in figure.series for point in series.points))
    at: dict[float | str, float] = {x: place if isinstance(x, str) else x for place, x in enumerate(names)}
    options = [f"xlabel={{{escape(figure.x_label)}}}", f"ylabel={{{escape(figure.y_label)}}}"]
    if not has_scale(figure):
        options += [
            f"xtick={{{','.join(f'{place:g}' for place in at.values())}}}",
            f"xticklabels={{{','.join(f'{{{escape(str(name))}}}' for name in names)}}}",
            "x tick label style={rotate=30, anchor=east}",
            "only marks",
        ]
    if figure.logarithmic:
        options.append("xmode=log")
    if figure.share:
        options += ["ymin=0", "ymax=1"]
    plots = [
        "\\addplot+[error bars/.cd, y dir=both, y explicit]\n  coordinates {\n"
        + "\n".join(f"    {_coordinate(point, at[point.x])}" for point in series.points)
        + f"\n  }};\n\\addlegendentry{{{escape(series.name)}}}"
        for series in figure.series
    ]
    lines = [
        "\\begin{tikzpicture}",
        f"\\begin{{axis}}[{', '.join(options)}]",
        *plots,
        "\\end{axis}",
        "\\end{tikzpicture}",
    ]
    return "\n".join(lines) + "\n"


def _coordinate(point: FigurePoint, x: float) -> str:
    if point.low is None or point.high is None:
        return f"({x:g},{point.y:.4g})"
    return f"({x:g},{point.y:.4g}) += (0,{point.high - point.y:.4g}) -= (0,{point.y - point.low:.4g})"
