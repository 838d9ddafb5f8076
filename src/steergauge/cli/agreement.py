"""`steergauge agreement`."""

from pathlib import Path
from typing import Annotated

import typer

from steergauge.errors import SteergaugeError


def agreement(
    store: Annotated[Path, typer.Argument(help="A store whose outputs people have labelled.")],
    disagreements: Annotated[
        Path | None, typer.Option(help="Write the outputs not read alike: .csv, .parquet or .json.")
    ] = None,
) -> None:
    """Compares the people who labelled a store with each other and with every judge, and corrects its rates."""
    from rich.console import Console
    from rich.markup import escape

    from steergauge.report.agreement import render_corrected, render_store_agreement
    from steergauge.report.tables import write_table
    from steergauge.store import Store
    from steergauge.studies.agreement import corrected_rates, disagreement_table, store_agreement

    if not store.exists():
        raise SteergaugeError(f"there is no store {store}")
    with Store(store) as opened:
        ratings, generations = opened.ratings(), opened.generations()
    if not ratings:
        raise SteergaugeError(f"nobody has labelled {store} yet: steergauge label {store}")
    found = store_agreement(ratings, {key: one.text for key, one in generations.items()})
    console = Console(soft_wrap=True)
    render_store_agreement(found, console)
    render_corrected(corrected_rates(generations, found.judges), console)
    if shortened := sum(one.finish == "decided" for one in generations.values()):
        console.print(
            f"{shortened} outputs ended early, when the judge of their gauge was certain; other judges and people "
            "read their beginnings: gauge --full makes them whole",
            highlight=False,
        )
    console.print(f"{len(found.disagreements)} outputs were not read alike", highlight=False)
    if disagreements is not None:
        write_table(disagreement_table(found.disagreements, generations), disagreements)
        console.print(f"written: {escape(str(disagreements.absolute()))}", highlight=False)
