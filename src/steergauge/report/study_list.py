"""The studies in a terminal."""

from rich.console import Console
from rich.table import Table

from steergauge.studies.experiments.table import EXPERIMENTS


def render_list(console: Console) -> None:
    """Prints every study's name and question."""
    drawn = Table(box=None, padding=(0, 1), show_header=False)
    drawn.add_column(style="bold", no_wrap=True)
    for name, listed in EXPERIMENTS.items():
        drawn.add_row(name, listed.question)
    console.print(drawn)
