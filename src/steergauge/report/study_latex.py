"""A study's tables and figures as LaTeX, for papers: booktabs and pgfplots."""

import re

import pandas as pd

from steergauge.report.study_figures import has_scale
from steergauge.report.study_words import cell_words
from steergauge.studies.study_result import ColumnKind, FigurePoint, Matrix, StudyFigure, StudyTable

_SYMBOLS = {"α": r"$\alpha$", "≥": r"$\ge$", "≤": r"$\le$", "−": "--", "×": r"$\times$", "σ": r"$\sigma$"}
_SPECIAL = {char: f"\\{char}" for char in "&%$#_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "–": "--",
    "…": r"\dots{}",
}


def escape(text: str) -> str:
    """Text that LaTeX sets as it is read; what a model wrote cannot end a command or a cell."""
    mapping = _SPECIAL | _SYMBOLS | {"−": "$-$"}
    return "".join(mapping.get(char, char) for char in re.sub(r"\s+", " ", text))


def table_latex(table: StudyTable) -> str:
    """A table with its caption; needs the package booktabs."""
    frame = pd.DataFrame(
        [
            [escape(cell_words(row.get(column.key), column.kind)) for column in table.columns]
            for row in table.rows
        ],
        columns=[escape(column.title) for column in table.columns],
    )
    aligned = "".join("l" if column.kind is ColumnKind.TEXT else "r" for column in table.columns)
    return (
        frame.style.hide(axis="index")
        .to_latex(hrules=True, column_format=aligned, caption=escape(table.title), label=f"tab:{table.name}")
        .replace("\\begin{table}", "\\begin{table}[ht]\n\\centering")
    )


def matrix_latex(matrix: Matrix) -> str:
    """A matrix as a table; needs the package booktabs."""
    frame = pd.DataFrame(
        [[escape(name), *map(escape, said)] for name, said in zip(matrix.rows, matrix.words, strict=True)],
        columns=[escape(f"{matrix.rows_label} / {matrix.columns_label}"), *map(escape, matrix.columns)],
    )
    return (
        frame.style.hide(axis="index")
        .to_latex(
            hrules=True,
            column_format="l" + "r" * len(matrix.columns),
            caption=escape(matrix.title),
            label=f"fig:{matrix.name}",
        )
        .replace("\\begin{table}", "\\begin{table}[ht]\n\\centering")
    )


def figure_latex(figure: StudyFigure) -> str:
    """A figure with its intervals as error bars; needs the package pgfplots."""
    names = list(dict.fromkeys(str(point.x) for series in figure.series for point in series.points))
    scaled = has_scale(figure)
    options = [f"xlabel={{{escape(figure.x_label)}}}", f"ylabel={{{escape(figure.y_label)}}}"]
    if not scaled:
        listed = ",".join(f"{{{escape(name)}}}" for name in names)
        options += [f"symbolic x coords={{{listed}}}", "xtick=data"]
    if figure.logarithmic:
        options.append("xmode=log")
    if figure.share:
        options += ["ymin=0", "ymax=1"]
    plots = [
        "\\addplot+[error bars/.cd, y dir=both, y explicit]\n  coordinates {\n"
        + "\n".join(f"    {_coordinate(point, scaled)}" for point in series.points)
        + f"\n  }};\n\\addlegendentry{{{escape(series.name)}}}"
        for series in figure.series
    ]
    return (
        "\\begin{tikzpicture}\n\\begin{axis}[" + ", ".join(options) + "]\n" + "\n".join(plots)
        + "\n\\end{axis}\n\\end{tikzpicture}\n"
    )  # fmt: skip


def _coordinate(point: FigurePoint, scaled: bool) -> str:
    x = f"{point.x:g}" if scaled and not isinstance(point.x, str) else f"{{{escape(str(point.x))}}}"
    if point.low is None or point.high is None:
        return f"({x},{point.y:.4g})"
    return f"({x},{point.y:.4g}) += (0,{point.high - point.y:.4g}) -= (0,{point.y - point.low:.4g})"
