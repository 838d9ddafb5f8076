"""`steergauge audit`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape


def audit(
    file: Annotated[
        Path | None, typer.Argument(help="A CSV of your own results. Default: the study's published numbers.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Every finding, as docs/audit.md says.")] = None,
    csv: Annotated[Path | None, typer.Option(help="The same, one row a finding.")] = None,
) -> None:
    """Recomputes published numbers, or those of FILE: intervals, tests, effect sizes, claims."""
    from steergauge.report.audit import render_audit, write_audit_csv, write_audit_json
    from steergauge.studies.audit.file import audit_file
    from steergauge.studies.audit.study import audit_study

    found = audit_study() if file is None else audit_file(file)
    render_audit(found, Console())
    for path, write in ((json, write_audit_json), (csv, write_audit_csv)):
        if path is not None:
            write(found, path)
            Console(soft_wrap=True).print(f"written: {escape(str(path.absolute()))}", highlight=False)
