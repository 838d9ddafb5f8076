"""`steergauge label`."""

from pathlib import Path
from typing import Annotated

import typer

from steergauge.errors import SteergaugeError


def label(  # noqa: PLR0917 - each is an option of the command line
    store: Annotated[Path, typer.Argument(help="A store, such as steergauge.db.")],
    sample: Annotated[int | None, typer.Option(min=1, help="How many outputs to read. Default: all.")] = None,
    retest: Annotated[float, typer.Option(min=0, max=1, help="Share that is shown a second time.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of the sample and the orders.")] = 0,
    port: Annotated[int, typer.Option(help="Where the page is served. Default: a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Opens a page on this machine on which people label outputs, blind; their labels are kept in the store."""
    import socket
    import webbrowser

    from rich.console import Console
    from rich.markup import escape

    if not store.exists():
        raise SteergaugeError(f"there is no store {store}")
    try:
        import uvicorn

        from steergauge.labelling.server import HOST, labelling_app
    except ModuleNotFoundError as error:
        if error.name not in ("uvicorn", "fastapi"):
            raise
        raise SteergaugeError(
            "the labelling page needs FastAPI and uvicorn: pip install 'steergauge[label]'"
        ) from None
    app = labelling_app(store, sample, retest, seed)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
        except OSError as error:
            raise SteergaugeError(
                f"port {port} cannot be used: {error.strerror}; give another with --port"
            ) from None
        address = f"http://{HOST}:{listening.getsockname()[1]}/"
        Console(soft_wrap=True).print(
            f"{escape(address)}  (Ctrl-C ends it; labels are kept)", highlight=False
        )
        if browser:
            webbrowser.open(address)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])
