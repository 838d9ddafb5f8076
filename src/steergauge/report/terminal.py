"""The result in a terminal, and progress while it is made."""

import unicodedata
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from steergauge.report import words
from steergauge.report.figures import Cell, HeatMap, heat_maps
from steergauge.report.search_words import search_sentences, shown_words
from steergauge.studies.measurements import Rate, points
from steergauge.studies.result import DirectionRecord, GaugeResult, VerdictName
from steergauge.studies.side_by_side import MethodOutcome, SideBySide

_COLOUR = {
    VerdictName.STEERABLE: "bold green",
    VerdictName.PARTLY_STEERABLE: "bold yellow",
    VerdictName.NOT_STEERABLE: "bold red",
    VerdictName.UNDECIDED: "bold yellow",
    VerdictName.INVALID: "bold red",
}
_DEPTH_WIDTH, _CELL_WIDTH = 16, 10


def render(result: GaugeResult, console: Console) -> None:
    """Prints the verdict with its cautions, rates by depth and dose, the best, the window and controls."""
    before, conclusion, after = words.headline(result)
    console.print(
        Text.assemble(
            plain(before, "bold"), (conclusion, _COLOUR[result.verdict.verdict]), plain(after, "bold")
        )
    )
    for reason in result.verdict.reasons:
        item(console, "", reason)
    for caution in result.verdict.cautions:
        item(console, "!", caution, "yellow")
    console.print()
    maps = heat_maps(result)
    for refusal, garbled in zip(maps[::2], maps[1::2], strict=True):
        _print_grid(result, refusal, garbled, console)
    console.print(_summary(result))
    for sentence in search_sentences(result):
        item(console, "", sentence)
    if result.random_control:
        console.print(_controls(result))
    if result.side_by_side:
        _print_methods(result.side_by_side, result.directions, console)
    failed = [check for check in result.checks if not check.passed]
    for check in failed:
        item(console, "✗", f"check failed: {check.name}: {check.detail}", "red")


class SweepProgress:
    """Progress on standard error: rows done, their speed in tokens, and the time left.

    `advance` is a plain callback for a runner. Where standard error is not a terminal, a line is written at
    every tenth of the way instead of a bar.
    """

    def __init__(
        self,
        rows: int | None = None,
        stage: str = "generating",
        console: Console | None = None,
        unit: str = "rows",
    ) -> None:
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            _TokensPerSecond(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._rows, self._stage, self._unit = rows, stage, unit
        self._task: TaskID | None = None
        self._tenth = 0

    def __enter__(self) -> Self:
        self._progress.start()
        if self._rows is not None:
            self.begin(self._stage, self._rows)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begin(self, stage: str, rows: int) -> None:
        """Starts a stage of so many rows, on a line of its own."""
        self._stage, self._tenth = stage, 0
        self._task = self._progress.add_task(stage, total=rows, tokens=0)

    def advance(self, rows_done: int, tokens: int) -> None:
        """Counts rows and tokens made since the last call; rows from the store bring no tokens."""
        if self._task is None:
            self.begin(self._stage, self._rows or 0)
        task = next(task for task in self._progress.tasks if task.id == self._task)
        self._progress.update(task.id, advance=rows_done, tokens=task.fields["tokens"] + tokens)
        tenth = int(10 * task.completed / task.total) if task.total else 0
        if tenth > self._tenth and not self._console.is_terminal:
            self._tenth = tenth
            made = f", {task.fields['tokens']} tokens" if task.fields["tokens"] else ""
            done = f"{task.completed:.0f} of {task.total:.0f} {self._unit}{made}"
            self._console.print(Text(f"{task.description}: {done}"))


class _TokensPerSecond(ProgressColumn):
    """Tokens over the time since the stage began."""

    def render(self, task: Task) -> Text:
        if not task.elapsed or not task.fields["tokens"]:
            return Text("")
        return Text(f"{task.fields['tokens'] / task.elapsed:,.0f} tokens/s", style="dim")


def _print_grid(result: GaugeResult, refusal: HeatMap, garbled: HeatMap, console: Console) -> None:
    """Prints refusal over garbling, in as many tables as the width needs."""
    at_once = max(1, (console.width - _DEPTH_WIDTH) // _CELL_WIDTH)
    heading = f"{refusal.method}: % of {shown_words(result)}, coherent refusal / garbled, by depth and dose"
    console.print(plain(heading, "bold"))
    console.print(Text(f"dose {refusal.dose_heading}", style="dim"))
    for start in range(0, len(refusal.doses), at_once):
        shown = slice(start, start + at_once)
        table = Table(box=None, padding=(0, 1), header_style="dim")
        table.add_column("depth", no_wrap=True)
        for dose in refusal.doses[shown]:
            table.add_column(dose, justify="right", no_wrap=True)
        for row, other in zip(refusal.rows, garbled.rows, strict=True):
            cells = zip(row.cells[shown], other.cells[shown], strict=True)
            depth = Text.assemble(row.depth, (f"  block {row.block}", "dim"))
            table.add_row(depth, *(_cell(first, second) for first, second in cells))
        console.print(table)
    console.print()


def _cell(refusal: Cell | None, garbled: Cell | None) -> Text:
    if refusal is None or garbled is None:
        return Text(words.NOTHING, style="dim")
    refused = "bold cyan" if (refusal.level or 0) >= 5 else "cyan" if refusal.level else "dim"
    broken = "yellow" if garbled.level else "dim"
    mark = ("*", "bold") if refusal.best else ""
    return Text.assemble(mark, (refusal.text, refused), (" / ", "dim"), (garbled.text, broken))


def _summary(result: GaugeResult) -> Table:
    table = _facts()
    best = result.best
    if best:
        table.add_row("* best", plain(words.condition_words(best)))
        table.add_row("  dose", plain(words.dose_everywhere(best.dose)))
        table.add_row("  reporting half", _rate(best.reported_on))
        table.add_row("  garbled there", _rate(best.garbled_on_reported))
        table.add_row("  over unsteered", plain(words.comparison_words(best.against_unsteered)))
        table.add_row("  choosing half", _rate(best.chosen_on))
        table.add_row("  whole set", Text.assemble(_rate(best.whole_set), (" optimistic", "dim")))
        table.add_row("", plain(words.left_out_words(result)))
    else:
        table.add_row("* best", "none: no condition was chosen")
    window = f"{words.window_short(result.window)}. " if result.window else ""
    table.add_row("window", plain(window + words.window_words(result)))
    control = result.random_control
    if control:
        against = words.comparison_words(control.against_strongest)
        strongest = f"the strongest of {len(control.directions)}, seed {control.strongest_seed}"
        table.add_row("beyond random", plain(f"{against}; {strongest}; reporting half"))
    else:
        table.add_row("beyond random", "the random control was not run")
    table.add_row("unsteered", Text.assemble(_rate(result.unsteered.refusal), " refused"))
    return table


def _controls(result: GaugeResult) -> Padding:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    table.add_column("random vector")
    table.add_column("coherent refusal", justify="right")
    table.add_column("garbled", justify="right")
    for random in result.random_control.directions if result.random_control else ():
        table.add_row(f"seed {random.seed}", _rate(random.effect), _rate(random.garbled))
    return Padding(table, (1, 0, 0, 0))


def _print_methods(methods: SideBySide, directions: Sequence[DirectionRecord], console: Console) -> None:
    tables: list[tuple[str, list[MethodOutcome]]] = [("at its own best", methods.own_best)]
    tables += [
        (f"block {at.block}, chosen by {' and '.join(at.selected_by)}", at.outcomes)
        for at in methods.at_selected
    ]
    for where, outcomes in tables:
        table = Table(box=None, padding=(0, 1), header_style="dim")
        table.add_column(where)
        for heading in ("block", "dose", "reporting half", "garbled", f"− {methods.first}", "p adj."):
            table.add_column(heading, justify="right")
        for best, against in ((one.best, one.against_first) for one in outcomes):
            table.add_row(
                plain(best.method),
                str(best.block),
                words.short_dose(best.dose),
                _rate(best.reported_on),
                words.percent(best.garbled_on_reported.rate),
                points(against.difference) if against else words.NOTHING,
                words.p_number(against.p_adjusted) if against else words.NOTHING,
            )
        console.print(Padding(table, (1, 0, 0, 0)))
    for direction in directions:
        if direction.selection:
            item(console, "", words.selection_words(direction.method, direction.selection))


def _facts() -> Table:
    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column()
    return table


def item(console: Console, mark: str, text: str, style: str = "") -> None:
    """Prints a sentence with its mark before it, indented as a whole."""
    table = Table(box=None, padding=(0, 1, 0, 0), show_header=False)
    table.add_column(width=2, justify="right", style=style)
    table.add_column()
    table.add_row(mark, plain(text))
    console.print(table)


def _rate(rate: Rate) -> Text:
    return Text(words.rate_words(rate))


def plain(text: str, style: str = "") -> Text:
    """Text that can neither mark itself up nor send the terminal a control sequence."""
    kept = "".join(char for char in text if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf"))
    return Text(kept, style=style)
