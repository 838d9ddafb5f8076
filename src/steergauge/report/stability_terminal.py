"""A result of stability in a terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from steergauge.directions.stability import ROBUST_COSINE, Robustness
from steergauge.report.stability import cautions, cosine, design_words, headline, spread
from steergauge.report.terminal import item, plain
from steergauge.studies.stability import BlockRecord, MethodRecord, StabilityResult

_COLOUR = {Robustness.ROBUST: "green", Robustness.FRAGILE: "yellow"}


def render_stability(result: StabilityResult, console: Console) -> None:
    """Prints the verdicts, what to read them with, and the cosines at every block."""
    heading = plain(f"On {result.model.name}, ", "bold")
    for index, (names, verdict) in enumerate(headline(result)):
        heading.append("; " if index else "").append(f"{names} ", "bold").append(
            verdict, f"bold {_COLOUR[verdict]}"
        )
    console.print(heading.append(".", "bold"))
    for method in result.methods:
        item(console, "", method.sentence)
    for caution in cautions(result):
        item(console, "!", caution, "yellow")
    for method in result.methods:
        console.print()
        said = f"{method.method}: median cosine [95% of draws] by block; * robust, from {ROBUST_COSINE}"
        console.print(plain(said, "bold"))
        console.print(_table(method))


def _table(method: MethodRecord) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    table.add_column("block", justify="right")
    for design in method.designs:
        table.add_column(design_words(design))
        table.add_column("lowest", justify="right")
    for row in zip(*(design.blocks for design in method.designs), strict=True):
        cells = [cell for at in row for cell in (_cell(at), plain(cosine(at.minimum), "dim"))]
        table.add_row(str(row[0].block), *cells)
    return table


def _cell(at: BlockRecord) -> Text:
    mark = "*" if at.verdict is Robustness.ROBUST else " "
    return Text.assemble((f"{mark} {cosine(at.median):>5}", _COLOUR[at.verdict]), (f" [{spread(at)}]", "dim"))
