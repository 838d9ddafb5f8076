"""`steergauge judges`."""

from typing import Annotated

import typer

from steergauge.cli.options import quiet_transformers


def judges(
    judge: Annotated[
        list[str] | None,
        typer.Option(help="A judge to measure beside them: model:NAME or endpoint:URL#MODEL."),
    ] = None,
    device: Annotated[str, typer.Option(help="Of a model: auto, cpu, cuda, cuda:N or mps.")] = "auto",
) -> None:
    """Measures every judge on the test part of the gold set: precision, recall, κ and confusion."""
    from rich.console import Console

    from steergauge.judging.gold import Part, gold_part
    from steergauge.judging.judges import JUDGES
    from steergauge.report.agreement import render_scores
    from steergauge.report.terminal import SweepProgress
    from steergauge.studies.agreement import score_judges

    with SweepProgress() as progress:
        opened = {}
        if judge:
            quiet_transformers()
            from steergauge.studies.model_judge import open_judge
            from steergauge.studies.run import RowsDone

            opened = {name: open_judge(name, device, RowsDone("judging", progress)) for name in judge}
        scores = score_judges(gold_part(Part.TEST), JUDGES | opened)
    console = Console(soft_wrap=True)
    console.print(
        "Against the gold labels of the test part; 95% intervals in brackets. A row is a class of the gold labels;\n"
        "the last three columns count how the judge read it.\n",
        highlight=False,
    )
    render_scores(scores, console, truth="gold")
