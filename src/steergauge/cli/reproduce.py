"""`steergauge reproduce`."""

from pathlib import Path
from typing import Annotated

import typer

from steergauge.cli.options import RAY, quiet_transformers, told_written


def reproduce(  # noqa: PLR0917 - each is an option of the command line
    models: Annotated[
        str | None, typer.Option(help="The models at hand, with commas. Default: the small ones.")
    ] = None,
    max_new_tokens: Annotated[int | None, typer.Option(help="Length of an output. Default: 100.")] = None,
    ray: Annotated[str | None, typer.Option(help=RAY)] = None,
    store: Annotated[Path, typer.Option(help="Where generations are kept.")] = Path("steergauge.db"),
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("reproduction"),
    plan: Annotated[bool, typer.Option("--plan", help="Say what it would take, and run nothing.")] = False,
    collect: Annotated[
        bool,
        typer.Option("--collect", help="Run nothing: answer from the studies whose folders stand in --out."),
    ] = False,
) -> None:
    """Runs every study of the paper, and says of each of its claims whether it is replicated."""
    from rich.console import Console

    changes: dict[str, object] = {}
    if models is not None:
        changes["models"] = tuple(models.split(","))
    if max_new_tokens is not None:
        changes["max_new_tokens"] = max_new_tokens
    if collect:
        from steergauge.report.reproduction_page import write_answers
        from steergauge.report.reproduction_terminal import render_reproduction
        from steergauge.studies.reproduction import collect as collected

        found = collected(out)
        render_reproduction(found, Console())
        told_written(write_answers(found, out))
        return
    quiet_transformers()
    if plan:
        from steergauge.report.study_plan import render_plan
        from steergauge.report.terminal import item
        from steergauge.studies.foretell import foretell
        from steergauge.studies.reproduction import planned

        work, not_run = planned(changes)
        render_plan(foretell(work), Console())
        for name, why in not_run.items():
            item(Console(), "!", f"study {name} cannot run: {why}", "yellow")
        return
    from steergauge.report.reproduction_page import write_reproduction
    from steergauge.report.reproduction_terminal import render_reproduction
    from steergauge.report.terminal import SweepProgress
    from steergauge.studies.reproduction import reproduce as run

    with SweepProgress() as progress:
        result = run(changes, store=store, progress=progress, ray=ray)
    render_reproduction(result, Console())
    told_written(write_reproduction(result, out))
