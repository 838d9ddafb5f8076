"""A reproduction in a terminal: every claim with its published and its measured numbers."""

from rich.console import Console
from rich.text import Text

from steergauge.report.terminal import item, plain
from steergauge.studies.reproduction import Replication, Reproduction

_COLOUR = {
    Replication.REPLICATED: "green",
    Replication.NOT_REPLICATED: "red",
    Replication.UNTESTABLE: "yellow",
}


def render_reproduction(result: Reproduction, console: Console) -> None:
    """Prints the claims in the paper's order, then what was not run."""
    console.print(plain(f"The study repeated on {', '.join(result.models)}", "bold"))
    for answer in result.answers:
        console.print()
        console.print(
            Text.assemble(
                (f"{answer.claim.place}  ", "dim"),
                (f"{answer.replication}: ", f"bold {_COLOUR[answer.replication]}"),
                plain(answer.claim.claim),
            )
        )
        item(console, "", f"published: {answer.claim.published}")
        item(console, "", f"measured:  {answer.measured}")
    for name, why in result.not_run.items():
        item(console, "!", f"study {name} did not run: {why}", "yellow")
    console.print()
    counted = ", ".join(f"{result.count(one)} {one}" for one in Replication)
    console.print(plain(f"{len(result.answers)} claims: {counted}", "bold"))
