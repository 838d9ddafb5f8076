"""`steergauge judges`."""

from rich.console import Console


def judges() -> None:
    """Measures every judge on the test part of the gold set: precision, recall, κ and confusion."""
    from steergauge.judging.gold import Part, gold_part
    from steergauge.report.agreement import render_scores
    from steergauge.studies.agreement import score_judges

    console = Console(soft_wrap=True)
    console.print(
        "Against the gold labels of the test part; 95% intervals in brackets. A row is a class of the gold labels;\n"
        "the last three columns count how the judge read it.\n",
        highlight=False,
    )
    render_scores(score_judges(gold_part(Part.TEST)), console, truth="gold")
