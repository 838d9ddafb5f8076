"""`steergauge study`."""

from pathlib import Path
from typing import Annotated

import typer

from steergauge.cli.options import ENGINE, RAY, TENSOR_PARALLEL, Engine, quiet_transformers, told_written
from steergauge.errors import SteergaugeError


def study(  # noqa: PLR0917 - each is an option of the command line
    name: Annotated[str | None, typer.Argument(help="A study's name, or a study file (.toml).")] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the studies.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Say what it would take, and run nothing.")] = False,
    models: Annotated[str | None, typer.Option(help="Models in place of the file's, with commas.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(help="Length of an output.")] = None,
    judge: Annotated[str | None, typer.Option(help="Who reads the outputs.")] = None,
    engine: Annotated[Engine, typer.Option(help=ENGINE)] = Engine.AUTO,
    tensor_parallel: Annotated[int, typer.Option(help=TENSOR_PARALLEL)] = 1,
    ray: Annotated[str | None, typer.Option(help=RAY)] = None,
    store: Annotated[Path, typer.Option(help="Where generations are kept.")] = Path("steergauge.db"),
    out: Annotated[
        Path | None, typer.Option(help="Folder of the report, tables and figures. Default: study-NAME.")
    ] = None,
) -> None:
    """Runs one of the paper's studies, or FILE.toml, over several models."""
    from rich.console import Console

    if list_:
        from steergauge.report.study_list import render_list

        render_list(Console())
        return
    if name is None:
        raise SteergaugeError("name a study, or a study file; `steergauge study --list` lists them")
    from steergauge.studies.study import find_experiment, read_study, run_study

    asked = {"max_new_tokens": max_new_tokens, "judge": judge}
    changes: dict[str, object] = {key: value for key, value in asked.items() if value is not None}
    if models is not None:
        changes["models"] = tuple(models.split(","))
    settings = read_study(name, changes)
    quiet_transformers()
    if plan:
        from steergauge.report.study_plan import render_plan
        from steergauge.studies.foretell import foretell

        work = find_experiment(settings.study).plan(settings)
        render_plan(foretell(work, settings.device, settings.batch), Console())
        return
    from steergauge.report.study_files import write_study
    from steergauge.report.study_terminal import render_study
    from steergauge.report.terminal import SweepProgress

    with SweepProgress() as progress:
        result = run_study(
            settings,
            store=store,
            progress=progress,
            engine=engine.value,
            tensor_parallel=tensor_parallel,
            ray=ray,
        )
    render_study(result, Console())
    told_written(write_study(result, out or Path(f"study-{Path(name).stem}")))
