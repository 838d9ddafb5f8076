"""Results as files for other tools: JSON, CSV and Parquet."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pandas as pd

from steergauge.atomic import replacing
from steergauge.errors import SteergaugeError
from steergauge.studies.audit.finding import Audit
from steergauge.studies.measurements import Record
from steergauge.studies.stability import StabilityResult


class Result(Protocol):
    """What rests on generations."""

    def generations_to_pandas(self) -> pd.DataFrame:
        """One row a generation."""
        ...


def write_json(result: Record, path: Path) -> None:
    """Writes the result as its JSON form is documented (docs/json.md)."""
    with replacing(path) as partial:
        partial.write_text(result.to_json() + "\n", encoding="utf-8", newline="\n")


def write_csv(result: Result, path: Path) -> None:
    """Writes one row a generation, UTF-8, texts verbatim and always quoted.

    An output may read "NA" or "null": `pandas.read_csv(path, keep_default_na=False)` keeps it as it is.
    """
    with replacing(path) as partial:
        _to_csv(result.generations_to_pandas(), partial)


def write_parquet(result: Result, path: Path) -> None:
    """Writes one row a generation, with types and nulls kept."""
    with replacing(path) as partial:
        _to_parquet(result.generations_to_pandas(), partial)


def write_rows(result: StabilityResult | Audit, path: Path) -> None:
    """Writes one row a method, design and block, or one a finding, as CSV."""
    with replacing(path) as partial:
        _to_csv(result.to_pandas(), partial)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Writes a table in the format that the file's name ends with.

    Raises:
        SteergaugeError: the name ends otherwise than .csv, .parquet or .json.
    """
    if path.suffix not in _FORMATS:
        raise SteergaugeError(
            f"cannot tell the format of {path}: give a name that ends with {' or '.join(_FORMATS)}"
        )
    with replacing(path) as partial:
        _FORMATS[path.suffix](table, partial)


def _to_csv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, encoding="utf-8", quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")


def _to_parquet(table: pd.DataFrame, path: Path) -> None:
    table.to_parquet(path, index=False)


def _to_json(table: pd.DataFrame, path: Path) -> None:
    table.to_json(path, orient="records", force_ascii=False, indent=2)


_FORMATS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    ".csv": _to_csv,
    ".parquet": _to_parquet,
    ".json": _to_json,
}
