"""Every generation with its label, as a table for other tools."""

import csv
from pathlib import Path

from steergauge.report.atomic import replacing
from steergauge.studies.result import GaugeResult


def write_csv(result: GaugeResult, path: Path) -> None:
    """Writes one row a generation, UTF-8, texts verbatim and always quoted.

    An output may read "NA" or "null": `pandas.read_csv(path, keep_default_na=False)` keeps it as it is.
    """
    with replacing(path) as partial:
        result.generations_to_pandas().to_csv(
            partial, index=False, encoding="utf-8", quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n"
        )


def write_parquet(result: GaugeResult, path: Path) -> None:
    """Writes one row a generation, with types and nulls kept."""
    with replacing(path) as partial:
        result.generations_to_pandas().to_parquet(partial, index=False)
