"""`steergauge direction`."""

from pathlib import Path
from typing import Annotated

import typer

from steergauge.cli.options import PRECISION, load, told_written


def direction(  # noqa: PLR0917 - each is an option of the command line
    model: Annotated[str, typer.Argument(help="A catalogue name, a hub id, a local folder or a GGUF file.")],
    file: Annotated[
        Path, typer.Argument(help="What to write: .safetensors, or .gguf for llama.cpp and repeng.")
    ],
    method: Annotated[str, typer.Option(help="How the direction is extracted.")] = "dim",
    contrast: Annotated[
        Path | None, typer.Option(help="TOML, CSV or JSONL file of positive and negative prompts.")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Of .gguf: the raw dose at strength 1. Default: 1.")
    ] = None,
    steered_from: Annotated[
        int | None,
        typer.Option(
            "--from",
            help="Of .gguf: add this block's vector at every block from it on. Default: each its own.",
        ),
    ] = None,
    precision: Annotated[str, typer.Option(help=PRECISION)] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    template: Annotated[
        Path | None, typer.Option(help="Jinja chat template in place of the model's.")
    ] = None,
) -> None:
    """Extracts a direction from MODEL and writes it to FILE."""
    from rich.console import Console
    from rich.markup import escape

    from steergauge.directions.formats import require_writable
    from steergauge.directions.methods import find_method
    from steergauge.prompts import load_contrast_set, study_contrast_set

    require_writable(file, scale, steered_from)
    find_method(method)
    contrast_set = load_contrast_set(contrast) if contrast else study_contrast_set()
    loaded = load(model, precision, device, template)
    from steergauge.directions.extract import extract_direction
    from steergauge.directions.formats import write_direction_file

    extracted = extract_direction(loaded, method, contrast_set)
    lost = write_direction_file(
        extracted, file, loaded.module.config.model_type, scale=scale, steered_from=steered_from
    )
    norms = extracted.direction.raw_norms
    console = Console(soft_wrap=True)
    console.print(
        f"{escape(method)} on {escape(loaded.name)}: {extracted.direction.blocks} blocks, width "
        f"{extracted.direction.width}, classes {norms.min():.3g} to {norms.max():.3g} apart",
        highlight=False,
    )
    console.print(f"lost: {'; '.join(lost) or 'nothing'}", highlight=False)
    told_written(file)
