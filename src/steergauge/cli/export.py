"""`steergauge export`."""

from pathlib import Path
from typing import Annotated

import typer

from steergauge.cli.options import told_written
from steergauge.errors import SteergaugeError


def export(
    store: Annotated[Path, typer.Argument(help="A store, such as steergauge.db.")],
    file: Annotated[Path, typer.Argument(help="What to write: .csv, .parquet or .json.")],
    ratings: Annotated[bool, typer.Option("--ratings", help="People's labels instead, as given.")] = False,
) -> None:
    """Writes every generation of a store with its labels by judges, or what people said of them."""
    from steergauge.report.tables import write_table
    from steergauge.store import Store
    from steergauge.studies.agreement import ratings_table

    if not store.exists():
        raise SteergaugeError(f"there is no store {store}")
    with Store(store) as opened:
        write_table(ratings_table(opened.ratings()) if ratings else opened.to_pandas(), file)
    told_written(file)
