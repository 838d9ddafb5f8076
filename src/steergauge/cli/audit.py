"""`steergauge audit`."""

from pathlib import Path
from typing import Annotated

import typer

from steergauge.cli.options import told_written


def audit(
    file: Annotated[
        Path | None, typer.Argument(help="A CSV of your own results. Default: the study's published numbers.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Every finding, as docs/audit.md says.")] = None,
    csv: Annotated[Path | None, typer.Option(help="The same, one row a finding.")] = None,
) -> None:
    """Recomputes published numbers, or those of FILE: intervals, tests, effect sizes, claims."""
    from rich.console import Console

    from steergauge.report.audit import render_audit
    from steergauge.studies.audit.file import audit_file
    from steergauge.studies.audit.study import audit_study

    found = audit_study() if file is None else audit_file(file)
    render_audit(found, Console())
    if json or csv:
        from steergauge.report.tables import write_json, write_rows

        for path, write in ((json, write_json), (csv, write_rows)):
            if path is not None:
                write(found, path)
                told_written(path)
