"""`steergauge pairs`."""

from pathlib import Path
from typing import Annotated

import typer

from steergauge.cli.options import PRECISION, load, told_written


def pairs(  # noqa: PLR0917 - each is an option of the command line
    model: Annotated[str, typer.Argument(help="A catalogue name, a hub id, a local folder or a GGUF file.")],
    contrast: Annotated[
        Path | None, typer.Option(help="TOML, CSV or JSONL file of positive and negative prompts.")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="The most tokens of an answer.")] = 100,
    judge: Annotated[str, typer.Option(help="Who reads the answers.")] = "gauge",
    precision: Annotated[str, typer.Option(help=PRECISION)] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    template: Annotated[
        Path | None, typer.Option(help="Jinja chat template in place of the model's.")
    ] = None,
    store: Annotated[Path, typer.Option(help="Where answers are kept.")] = Path("steergauge.db"),
    json: Annotated[Path | None, typer.Option(help="The result, as docs/json.md says.")] = None,
) -> None:
    """Checks a contrast set on MODEL: repeats, lengths, and what the model refuses unsteered."""
    from rich.console import Console

    from steergauge.judging.judges import require_judge
    from steergauge.prompts import load_contrast_set, study_contrast_set
    from steergauge.report.pairs import render_pairs
    from steergauge.report.tables import write_json
    from steergauge.report.terminal import SweepProgress
    from steergauge.store import Store

    require_judge(judge)
    contrast_set = load_contrast_set(contrast) if contrast else study_contrast_set()
    with Store(store) as opened:  # before the model is loaded: its mistakes are cheap to find
        loaded = load(model, precision, device, template)
        with SweepProgress() as progress:
            from steergauge.studies.measure_pairs import measure_pairs

            result = measure_pairs(
                loaded,
                contrast_set,
                judge=judge,
                max_new_tokens=max_new_tokens,
                store=opened,
                progress=progress,
            )
    render_pairs(result, Console())
    if json is not None:
        write_json(result, json)
        told_written(json)
