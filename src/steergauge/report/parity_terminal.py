"""A parity study in a terminal: what was found, the tools, and the fault table."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from steergauge.report import words
from steergauge.report.parity_words import cosine, findings, headline, refusal
from steergauge.report.terminal import plain
from steergauge.studies.measurements import points
from steergauge.studies.parity_result import FaultRecord, ParityResult, Visibility

_COLOUR = {
    Visibility.COSINE: "cyan",
    Visibility.BEHAVIOUR: "bold yellow",
    Visibility.UNDECIDED: "yellow",
    Visibility.NOTHING_TO_LOSE: "dim",
    Visibility.HARMLESS: "dim",
    Visibility.NO_DIRECTION: "cyan",
}
_SHORT = {
    Visibility.COSINE: "cosine",
    Visibility.BEHAVIOUR: "behaviour",
    Visibility.NOTHING_TO_LOSE: "no loss",
    Visibility.HARMLESS: "harmless",
    Visibility.NO_DIRECTION: "none read",
}


def render_parity(result: ParityResult, console: Console) -> None:
    """Prints the finding, the right direction at each block, the tools and the mistakes."""
    console.print(plain(headline(result), "bold"))
    console.print(_findings(result))
    console.print(plain("The right direction, read with hooks", "bold"))
    console.print(_reference(result))
    console.print(plain("The tools", "bold"))
    console.print(_backends(result))
    if result.faults:
        console.print(
            plain("The mistakes, and where they show; points from the right direction's refusal", "bold")
        )
        console.print(_faults(result))


def _findings(result: ParityResult) -> Table:
    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for about, text in findings(result):
        table.add_row(plain(about), plain(text))
    return table


def _reference(result: ParityResult) -> Table:
    table = _table("block", "α", "refusal", "garbled", "plain hooks equal")
    none = result.unsteered
    table.add_row("unsteered", "0", words.rate_words(none.refusal), words.rate_words(none.garbled), "")
    for one in result.reference:
        equal = one.plain_hooks_equal
        table.add_row(
            f"{one.block} ({one.depth:.0%})",
            words.number(one.dose),
            words.rate_words(one.outputs.refusal),
            words.rate_words(one.outputs.garbled),
            f"{equal.count} of {equal.n}" if equal else words.NOTHING,
        )
    return table


def _backends(result: ParityResult) -> Table:
    blocks = [one.block for one in result.reference]
    table = _table("tool", "outcome", "relative error", *(f"refusal, block {block}" for block in blocks))
    for one in result.backends:
        rates = [refusal(at) for at in one.at] or [words.NOTHING] * len(blocks)
        table.add_row(plain(one.name), plain(one.outcome), words.number(one.worst_error), *rates)
    return table


def _faults(result: ParityResult) -> Table:
    table = _table("mistake", "at", "cosine", "‖Δ‖", "refusal", "points", "garbled", "p", "shows")
    for fault in result.faults:
        if fault.impossible or fault.error:
            why = "not possible" if fault.impossible else "raises"
            table.add_row(plain(fault.name), *[""] * 7, Text(why, style="dim"))
        for row in _rows(fault):
            table.add_row(*row)
    return table


def _rows(fault: FaultRecord) -> list[list[Text | str]]:
    rows: list[list[Text | str]] = []
    for one in fault.at:
        compared, outputs = one.against_reference, one.outputs
        kind = one.visibility
        shows = Text(_SHORT.get(kind, kind.value), style=_COLOUR[kind])
        rows.append(
            [
                plain(fault.name if one is fault.at[0] else ""),
                str(one.block),
                cosine(one.cosine),
                "" if one.norm_ratio is None else f"×{words.number(one.norm_ratio)}",
                words.percent(outputs.refusal.rate) if outputs else words.NOTHING,
                points(compared.difference) if compared else words.NOTHING,
                words.percent(outputs.garbled.rate) if outputs else words.NOTHING,
                words.p_number(compared.p_value).replace(" ", "") if compared else words.NOTHING,
                shows.append(", gap", "bold red") if one.study_gap else shows,
            ]
        )
    return rows


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    for index, column in enumerate(columns):
        words_in_it = index == 0 or column in ("shows", "outcome")
        table.add_column(
            column, justify="left" if words_in_it else "right", no_wrap=column not in ("shows", "refusal")
        )
    return table
