"""The audit of a user's own table."""

from pathlib import Path

from steergauge.studies.audit.counts import audit_counts
from steergauge.studies.audit.finding import Audit, sorted_audit
from steergauge.studies.audit.outputs import audit_outputs
from steergauge.studies.audit.table import OutputTable, read_table


def audit_file(path: Path) -> Audit:
    """Audits a CSV of results: repeats, wrong tests, uncorrected comparisons, the best of a sweep.

    Raises:
        SteergaugeError: the file cannot be used, with its line.
    """
    table = read_table(path)
    found = audit_outputs(table) if isinstance(table, OutputTable) else audit_counts(table)
    return sorted_audit(path.name, found)
