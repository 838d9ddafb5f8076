"""`steergauge export`."""

from pathlib import Path
from typing import Annotated

import typer

from steergauge.cli.options import told_written
from steergauge.errors import SteergaugeError


def export(
    store: Annotated[Path, typer.Argument(help="A store, such as steergauge.db.")],
    file: Annotated[Path, typer.Argument(help="What to write: .csv, .parquet or .json.")],
) -> None:
    """Writes every generation of a store with its labels."""
    from steergauge.report.tables import write_table
    from steergauge.store import Store

    if not store.exists():
        raise SteergaugeError(f"there is no store {store}")
    with Store(store) as opened:
        write_table(opened.to_pandas(), file)
    told_written(file)
