"""`steergauge gauge`."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from steergauge.cli.options import (
    ENGINE,
    PRECISION,
    RAY,
    TENSOR_PARALLEL,
    Engine,
    load,
    numbers,
    told_written,
)


class Unit(StrEnum):
    """What doses multiply; told in `gauge --help` without importing what computes them."""

    RAW = "raw"
    RELATIVE = "relative"
    SEPARATION = "separation"
    CLAMP = "clamp"


class Blocks(StrEnum):
    """Which blocks are steered."""

    ONWARD = "onward"
    ONE = "one"


class Positions(StrEnum):
    """Which tokens are steered."""

    ALL = "all"
    AFTER_INSTRUCTION = "after_instruction"
    LAST = "last"
    GENERATED = "generated"


def gauge(  # noqa: PLR0917 - each is an option of the command line
    model: Annotated[str, typer.Argument(help="A catalogue name, a hub id, a local folder or a GGUF file.")],
    depths: Annotated[
        str, typer.Option(help="Fractions of the blocks to steer from.")
    ] = "0.3,0.4,0.5,0.6,0.7",
    doses: Annotated[str | None, typer.Option(help="Doses to try. Default: from the model.")] = None,
    head_doses: Annotated[
        str, typer.Option(help="Doses of iti, in standard deviations of each head.")
    ] = "2,3,5,7,10",
    unit: Annotated[Unit, typer.Option(help="What doses multiply.")] = Unit.RAW,
    operation: Annotated[
        str | None,
        typer.Option(help="add, rotate, affine or clamp. Default: clamp for that unit, else add."),
    ] = None,
    blocks: Annotated[Blocks, typer.Option(help="From each block through the last, or it alone.")] = (
        Blocks.ONWARD
    ),
    positions: Annotated[Positions, typer.Option(help="Which tokens are steered.")] = Positions.ALL,
    method: Annotated[
        str | None, typer.Option(help="How directions are extracted; several with commas. Default: dim.")
    ] = None,
    direction: Annotated[
        list[Path] | None,
        typer.Option(help="A direction's .safetensors or .gguf file, in place of a method or beside one."),
    ] = None,
    contrast: Annotated[
        Path | None, typer.Option(help="TOML, CSV or JSONL file of positive and negative prompts.")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="TOML, CSV or JSONL file of benign prompts to measure on.")
    ] = None,
    search: Annotated[
        bool,
        typer.Option("--search", help="Race for the best condition and its window; do not sweep the grid."),
    ] = False,
    max_new_tokens: Annotated[int, typer.Option(help="Length of an output.")] = 100,
    judge: Annotated[
        str, typer.Option(help="Who reads the outputs: gauge, study, model:NAME or endpoint:URL#MODEL.")
    ] = "gauge",
    surprise: Annotated[
        bool, typer.Option("--surprise", help="Tell how surprising each output is to the unsteered model.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Make outputs to their end, also where their label is certain.")
    ] = False,
    threshold: Annotated[float, typer.Option(help="Coherent refusal rate that counts as steerable.")] = 0.6,
    random_directions: Annotated[int, typer.Option(help="Random vectors in the control.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the prompts' halves and the random vectors.")] = 0,
    batch: Annotated[int | None, typer.Option(help="Rows of a batch. Default: what fits memory.")] = None,
    precision: Annotated[str, typer.Option(help=PRECISION)] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    engine: Annotated[Engine, typer.Option(help=ENGINE)] = Engine.AUTO,
    tensor_parallel: Annotated[int, typer.Option(help=TENSOR_PARALLEL)] = 1,
    ray: Annotated[str | None, typer.Option(help=RAY)] = None,
    template: Annotated[
        Path | None, typer.Option(help="Jinja chat template in place of the model's.")
    ] = None,
    store: Annotated[Path, typer.Option(help="Where generations are kept.")] = Path("steergauge.db"),
    html: Annotated[Path | None, typer.Option(help="The report. Default: MODEL.html.")] = None,
    json: Annotated[Path | None, typer.Option(help="The result, as docs/json.md says.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Every generation with its label.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="The same as Parquet.")] = None,
) -> None:
    """Measures how steerable MODEL is: control, directions, sweep, window, verdict, report."""
    from rich.console import Console

    from steergauge.prompts import (
        load_contrast_set,
        load_evaluation_set,
        study_contrast_set,
        study_evaluation_set,
    )
    from steergauge.report.html import write_html
    from steergauge.report.tables import write_csv, write_json, write_parquet
    from steergauge.report.terminal import SweepProgress, render
    from steergauge.studies.settings import gauge_settings

    page = html or Path(f"{re.sub(r'[^A-Za-z0-9.-]+', '-', model).strip('-.')}.html")
    if method is None and not direction:
        method = "dim"
    settings = gauge_settings(
        contrast_set=load_contrast_set(contrast) if contrast else study_contrast_set(),
        evaluation_set=load_evaluation_set(prompts) if prompts else study_evaluation_set(),
        methods=() if method is None else tuple(method.split(",")),
        directions=tuple(direction or ()),
        depths=numbers("--depths", depths),
        unit=unit.value,
        operation=operation,
        blocks=blocks.value,
        positions=positions.value,
        doses=None if doses is None else numbers("--doses", doses),
        head_doses=numbers("--head-doses", head_doses),
        search=search,
        max_new_tokens=max_new_tokens,
        judge=judge,
        surprise=surprise,
        full=full,
        threshold=threshold,
        random_directions=random_directions,
        seed=seed,
        wave_rows=batch,
    )
    from steergauge.store import Store

    with Store(store) as opened:  # before the model is loaded: its mistakes are cheap to find
        loaded = load(model, precision, device, template)
        with SweepProgress() as progress:
            from steergauge.studies.gauge import gauge as run

            result = run(
                loaded,
                settings,
                store=opened,
                progress=progress,
                engine=engine.value,
                tensor_parallel=tensor_parallel,
                ray=ray,
            )
    render(result, Console())
    write_html(result, page)
    written = [page]
    for path, write in ((json, write_json), (csv, write_csv), (parquet, write_parquet)):
        if path is not None:
            write(result, path)
            written.append(path)
    told_written(*written)
