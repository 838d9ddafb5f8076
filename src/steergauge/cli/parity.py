"""`steergauge parity`."""

from pathlib import Path
from typing import Annotated

import typer

from steergauge.cli.options import load, numbers, told_written


def parity(  # noqa: PLR0917 - each is an option of the command line
    model: Annotated[str, typer.Argument(help="A catalogue name, a hub id, a local folder or a GGUF file.")],
    depths: Annotated[str, typer.Option(help="Fractions of the blocks to steer from.")] = "0.4,0.5,0.6",
    dose: Annotated[
        float | None, typer.Option(help="Raw dose. Default: a tenth of the residual norm at each block.")
    ] = None,
    faults: Annotated[bool, typer.Option(help="Make the mistakes of the fault table too.")] = True,
    max_new_tokens: Annotated[int, typer.Option(help="Length of an output.")] = 100,
    batch: Annotated[int | None, typer.Option(help="Rows of a batch. Default: what fits memory.")] = None,
    precision: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "float32",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    template: Annotated[
        Path | None, typer.Option(help="Jinja chat template in place of the model's.")
    ] = None,
    store: Annotated[Path, typer.Option(help="Where generations are kept.")] = Path("steergauge.db"),
    html: Annotated[Path | None, typer.Option(help="The report as a page, with every output.")] = None,
    json: Annotated[Path | None, typer.Option(help="The result as JSON.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Every generation with its label.")] = None,
) -> None:
    """Compares the tools that read MODEL's activations, and shows what the usual mistakes cost."""
    from rich.console import Console

    from steergauge.report.parity_page import write_parity_html
    from steergauge.report.parity_terminal import render_parity
    from steergauge.report.tables import write_csv, write_json
    from steergauge.report.terminal import SweepProgress
    from steergauge.store import Store
    from steergauge.studies.parity_settings import ParitySettings
    from steergauge.studies.settings import settings_from

    settings = settings_from(
        ParitySettings,
        {
            "depths": numbers("--depths", depths),
            "dose": dose,
            "faults": faults,
            "max_new_tokens": max_new_tokens,
            "wave_rows": batch,
        },
    )
    with Store(store) as opened:  # before the model is loaded: its mistakes are cheap to find
        loaded = load(model, precision, device, template)
        with SweepProgress() as progress:
            from steergauge.studies.parity import parity as run

            result = run(loaded, settings, store=opened, progress=progress)
    render_parity(result, Console())
    for path, write in ((html, write_parity_html), (json, write_json), (csv, write_csv)):
        if path is not None:
            write(result, path)
            told_written(path)
