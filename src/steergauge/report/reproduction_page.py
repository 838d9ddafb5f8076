"""A reproduction as a folder: one page in the paper's order, and each study's own folder."""

from pathlib import Path

from steergauge.atomic import replacing
from steergauge.report.standalone import standalone_page
from steergauge.report.study_files import write_study
from steergauge.report.study_page import PARTS, drawn
from steergauge.report.tables import write_json, write_table
from steergauge.studies.published_tables import published_table
from steergauge.studies.reproduction import Replication, Reproduction


def write_reproduction(result: Reproduction, folder: Path) -> Path:
    """Writes `index.html`, `claims.csv`, `result.json`, and a folder a study.

    Returns:
        The page.
    """
    for name, study in result.studies.items():
        write_study(study, folder / name)
    return write_answers(result, folder)


def write_answers(result: Reproduction, folder: Path) -> Path:
    """Writes all but the studies' own folders, which stand there already.

    Returns:
        The page.
    """
    write_table(result.to_pandas(), folder / "claims.csv")
    write_json(result, folder / "result.json")
    page = folder / "index.html"
    with replacing(page) as partial:
        partial.write_text(reproduction_page(result), encoding="utf-8", newline="\n")
    return page


def reproduction_page(result: Reproduction) -> str:
    """The whole page: the claims, then every study's figures and tables."""
    return standalone_page(
        "reproduction.html.jinja",
        result=result,
        counts=[(replication, result.count(replication)) for replication in Replication],
        drawn={name: drawn(study) for name, study in result.studies.items()},
        published={name: published_table(name) for name in result.studies},
        **PARTS,
    )
