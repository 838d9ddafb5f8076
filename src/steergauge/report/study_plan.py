"""A study's plan in a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from steergauge.report.terminal import item, plain
from steergauge.studies.foretell import Foretold


def render_plan(parts: Sequence[Foretold], console: Console) -> None:
    """Prints what each part of a study would take, and the whole."""
    drawn = Table(box=None, padding=(0, 1), header_style="dim")
    for title in ("model", "what"):
        drawn.add_column(title)
    for title in ("conditions", "generations", "tokens", "memory", "time"):
        drawn.add_column(title, justify="right")
    for part in parts:
        drawn.add_row(
            plain(part.model),
            plain(part.what),
            f"{part.conditions:,}",
            f"{part.generations:,}",
            f"{part.tokens:,}",
            f"{part.gibibytes:.1f} GiB",
            duration(part.seconds),
        )
    whole = [sum(part.conditions for part in parts), sum(part.generations for part in parts)]
    drawn.add_row(
        plain("together", "bold"),
        "",
        *(f"{count:,}" for count in whole),
        f"{sum(part.tokens for part in parts):,}",
        f"{max(part.gibibytes for part in parts):.1f} GiB",
        duration(sum(part.seconds for part in parts)),
    )
    console.print(drawn)
    item(
        console,
        "",
        "At most: outputs that end early take less, and those in the store or shared between parts are made once. "
        "Times are from this machine's speed at matrix products, measured now.",
    )


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{seconds / 3600:.1f} h"
