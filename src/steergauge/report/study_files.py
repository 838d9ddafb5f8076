"""A study as a folder of files: the page, the result, every table and figure, every output."""

from pathlib import Path

from steergauge.atomic import replacing
from steergauge.errors import SteergaugeError
from steergauge.report.study_latex import figure_latex, matrix_latex, table_latex
from steergauge.report.study_page import study_page
from steergauge.report.tables import write_csv, write_json, write_table
from steergauge.studies.study_result import Matrix, StudyResult


def write_study(result: StudyResult, folder: Path) -> Path:
    """Writes `report.html`, `result.json`, `outputs.csv`, and each table and figure as CSV and LaTeX.

    Returns:
        The page.

    Raises:
        SteergaugeError: the folder cannot be made.
    """
    try:
        for name in ("tables", "figures"):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SteergaugeError(f"cannot make the folder {folder}: {error}") from None
    _write(folder / "report.html", study_page(result))
    write_json(result, folder / "result.json")
    write_csv(result, folder / "outputs.csv")
    for table in result.tables:
        write_table(table.to_pandas(), folder / "tables" / f"{table.name}.csv")
        _write(folder / "tables" / f"{table.name}.tex", table_latex(table))
    for figure in result.figures:
        write_table(figure.to_pandas(), folder / "figures" / f"{figure.name}.csv")
        latex = matrix_latex(figure) if isinstance(figure, Matrix) else figure_latex(figure)
        _write(folder / "figures" / f"{figure.name}.tex", latex)
    return folder / "report.html"


def _write(path: Path, text: str) -> None:
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
