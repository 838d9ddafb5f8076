"""A study's plan in a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from steergauge.report.terminal import item, plain
from steergauge.report.words import NOTHING
from steergauge.studies.foretell import Basis, Foretold


def render_plan(parts: Sequence[Foretold], console: Console) -> None:
    """Prints what each part of a study would take, and the whole."""
    drawn = Table(box=None, padding=(0, 1), header_style="dim")
    for title in ("model", "what"):
        drawn.add_column(title, overflow="fold")
    for title in ("conditions", "generations", "tokens", "memory", "time"):
        drawn.add_column(title, justify="right")
    for part in parts:
        drawn.add_row(
            plain(part.model),
            plain(part.what),
            f"{part.conditions:,}",
            f"{part.generations:,}",
            f"{part.tokens:,}",
            _memory(part.gibibytes),
            duration(part.seconds),
        )
    memory = [part.gibibytes for part in parts if part.gibibytes is not None]
    times = [part.seconds for part in parts if part.seconds is not None]
    whole = len(times) == len(parts)
    drawn.add_row(
        plain("together", "bold"),
        "",
        f"{sum(part.conditions for part in parts):,}",
        f"{sum(part.generations for part in parts):,}",
        f"{sum(part.tokens for part in parts):,}",
        _memory(max(memory) if whole else None),
        duration(sum(times) if whole else None),
    )
    console.print(drawn)
    item(
        console,
        "",
        "At most: outputs that end early take less, and those in the store or shared between parts are made once. "
        "Times are from this machine's speed at matrix products, measured now; making directions is not in them.",
    )
    for note in _notes(parts):
        item(console, "!", note, "yellow")


def _notes(parts: Sequence[Foretold]) -> list[str]:
    said = {
        Basis.CATALOGUE: "not on this machine: estimated from the catalogue's numbers, and fetching comes on top.",
        Basis.NOTHING: "neither loaded here before nor in the catalogue: no estimate of its memory and time.",
    }
    notes = [
        f"{', '.join(names)}: {words}"
        for basis, words in said.items()
        if (names := dict.fromkeys(part.model for part in parts if part.basis is basis))
    ]
    if large := dict.fromkeys(part.model for part in parts if not part.fits):
        notes.append(f"{', '.join(large)}: the weights alone are more than the memory that is free now.")
    return notes


def _memory(gibibytes: float | None) -> str:
    return NOTHING if gibibytes is None else f"{gibibytes:.1f} GiB"


def duration(seconds: float | None) -> str:
    """Seconds as a person says them."""
    if seconds is None:
        return NOTHING
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{seconds / 3600:.1f} h"
