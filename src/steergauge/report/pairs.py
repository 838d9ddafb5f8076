"""The check of a contrast set in a terminal."""

from itertools import groupby

from rich.console import Console

from steergauge.report.terminal import item, plain
from steergauge.studies.pairs import PairsResult


def render_pairs(result: PairsResult, console: Console) -> None:
    """Prints the counts, and the warnings by kind."""
    check = result.check
    found = f"{len(check.warnings)} warnings" if len(check.warnings) != 1 else "1 warning"
    console.print(
        plain(
            f"{check.contrast_set} on {result.model.name}: {found if check.warnings else 'no warning'}",
            "bold",
        )
    )
    for name, prompts, refused, tokens in (
        ("positive", check.positive, check.positive_refused, check.positive_median_tokens),
        ("negative", check.negative, check.negative_refused, check.negative_median_tokens),
    ):
        item(
            console,
            "",
            f"{prompts} {name} prompts, {refused} refused unsteered, median length {tokens:g} tokens",
        )
    if check.unscored:
        item(console, "", f"{check.unscored} answers unscored: the judge could not read them")
    for fault, warnings in groupby(check.warnings, key=lambda warning: warning.fault):
        console.print(plain(f"\n{fault}", "bold yellow"))
        for warning in warnings:
            item(console, "!", warning.message, "yellow")
