"""`steergauge stability`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from steergauge.cli.options import PRECISION, load, told_written


class Drawn(StrEnum):
    """How prompts are drawn; told in `stability --help` without importing what draws them."""

    BOOTSTRAP = "bootstrap"
    HALVES = "halves"
    BOTH = "both"


def stability(  # noqa: PLR0917 - each is an option of the command line
    model: Annotated[str, typer.Argument(help="A catalogue name, a hub id, a local folder or a GGUF file.")],
    method: Annotated[str, typer.Option(help="How directions are extracted; several with commas.")] = "dim",
    contrast: Annotated[
        Path | None, typer.Option(help="TOML, CSV or JSONL file of positive and negative prompts.")
    ] = None,
    design: Annotated[
        Drawn, typer.Option(help="Resamples against the whole set, disjoint halves, or both.")
    ] = Drawn.BOTH,
    draws: Annotated[int, typer.Option(min=1, help="How many of each design.")] = 1000,
    in_pairs: Annotated[
        bool | None,
        typer.Option(
            "--in-pairs/--apart",
            help="Draw the i-th prompts of both classes together or not. Default: as the method reads them.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    precision: Annotated[str, typer.Option(help=PRECISION)] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    template: Annotated[
        Path | None, typer.Option(help="Jinja chat template in place of the model's.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="The page, with its figure.")] = None,
    json: Annotated[Path | None, typer.Option(help="The result, as docs/json.md says.")] = None,
    csv: Annotated[Path | None, typer.Option(help="A row a method, design and block.")] = None,
) -> None:
    """Measures how much directions on MODEL depend on the prompts that they are extracted from."""
    from rich.console import Console

    from steergauge.directions.stability import Design
    from steergauge.prompts import load_contrast_set, study_contrast_set
    from steergauge.report.html import write_html
    from steergauge.report.stability_terminal import render_stability
    from steergauge.report.tables import write_json, write_rows
    from steergauge.report.terminal import SweepProgress
    from steergauge.studies.stability import StabilitySettings

    settings = StabilitySettings(
        methods=tuple(method.split(",")),
        contrast_set=load_contrast_set(contrast) if contrast else study_contrast_set(),
        designs=tuple(Design) if design is Drawn.BOTH else (Design(design.value),),
        draws=draws,
        in_pairs=in_pairs,
        seed=seed,
    )
    loaded = load(model, precision, device, template)
    with SweepProgress(unit="draws") as progress:
        from steergauge.studies.measure_stability import measure_stability

        result = measure_stability(loaded, settings, progress=progress)
    render_stability(result, Console())
    for path, write in ((html, write_html), (json, write_json), (csv, write_rows)):
        if path is not None:
            write(result, path)
            told_written(path)
