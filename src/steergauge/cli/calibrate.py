"""`steergauge calibrate`."""

from typing import Annotated

import typer

from steergauge.cli.options import quiet_transformers
from steergauge.errors import SteergaugeError


def calibrate(
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
) -> None:
    """Measures a model that was built, not trained, whose answers are known: pass or fail, in seconds."""
    from rich.console import Console
    from rich.markup import escape

    quiet_transformers()
    from steergauge.studies.calibrate import calibrate as run

    console, found = Console(soft_wrap=True), run(device)
    for name, passed, detail in found:
        mark = "[green]pass[/green]" if passed else "[red]FAIL[/red]"
        console.print(f"{mark}  {escape(name)}\n      [dim]{escape(detail)}[/dim]", highlight=False)
    if not all(one.passed for one in found):
        raise SteergaugeError(
            "the instrument does not find the known answers here, so its verdicts cannot be trusted; "
            "report the lines above with your versions"
        )
