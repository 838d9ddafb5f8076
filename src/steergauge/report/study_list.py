"""The studies in a terminal."""

from rich.console import Console
from rich.table import Table

from steergauge.report.terminal import plain
from steergauge.studies.experiments.table import EXPERIMENTS


def render_list(console: Console) -> None:
    """Prints every study's name and question."""
    drawn = Table(box=None, padding=(0, 1), show_header=False)
    for name, experiment in EXPERIMENTS.items():
        drawn.add_row(plain(name, "bold"), plain(experiment.question))
    console.print(drawn)
