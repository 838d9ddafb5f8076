"""An audit in a terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from steergauge.report.terminal import plain
from steergauge.studies.audit.finding import Audit, Finding, Outcome

_HEADINGS = {
    Outcome.DIFFERS: ("✗", "red", "The number or fact differs from what was published"),
    Outcome.DOES_NOT_STAND: ("!", "yellow", "The conclusion does not stand as it should be computed"),
    Outcome.UNDECIDED: ("?", "yellow", "What was published does not decide it"),
    Outcome.NO_DATA: ("?", "dim", "Nothing to check it with"),
    Outcome.HOLDS: ("✓", "green", "Holds; nothing to object"),
}
_PLACE_WIDTH = 12


def render_audit(audit: Audit, console: Console) -> None:
    """Prints how many findings of each outcome there are, then each with its reasons, mismatches first."""
    console.print(plain(f"Audit of {audit.subject}", "bold"))
    for outcome, (mark, style, heading) in _HEADINGS.items():
        if audit.count(outcome):
            console.print(
                Text.assemble(f"{audit.count(outcome):4} ", (f"{mark} ", style), plain(heading.lower()))
            )
    for outcome, (mark, style, heading) in _HEADINGS.items():
        found = [finding for finding in audit.findings if finding.outcome is outcome]
        if found:
            console.print()
            console.print(Text.assemble((f"{mark} ", style), plain(heading, "bold")))
            console.print(_table(found, full=outcome is not Outcome.HOLDS))


def _table(findings: list[Finding], full: bool) -> Table:
    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column(width=_PLACE_WIDTH, style="dim")
    table.add_column()
    for finding in findings:
        table.add_row(plain(finding.place), _full(finding) if full else _short(finding))
    return table


def _full(finding: Finding) -> Text:
    counted = finding.n is not None and finding.prompts is not None and finding.n != finding.prompts
    repeats = f"   n = {finding.n}, {finding.prompts} prompts" if counted else ""
    arrow = " → " if finding.published else ""
    lines = [
        plain(finding.claim, "bold"),
        Text.assemble(plain(finding.published), (arrow, "dim"), plain(finding.recomputed), (repeats, "dim")),
        plain(finding.due),
        plain(finding.meaning, "dim"),
    ]
    return Text("\n").join(line for line in lines if line.plain)


def _short(finding: Finding) -> Text:
    if finding.agrees is None:
        said = "; ".join(filter(None, (finding.recomputed, finding.due)))
    else:
        said = finding.published
    line = Text.assemble(plain(finding.claim), ("  ", "dim"), plain(said, "dim"))
    return Text("\n").join([line, plain(finding.meaning, "dim")]) if finding.meaning else line
