"""The audit of the study's published numbers."""

from steergauge.studies.audit import depth, methods, protocol, scale, transfer
from steergauge.studies.audit.check import Checker
from steergauge.studies.audit.comparisons import audit_comparisons
from steergauge.studies.audit.finding import Audit, Finding, sorted_audit
from steergauge.studies.audit.intervals import audit_intervals
from steergauge.studies.audit.transfer import audit_transfers
from steergauge.studies.published import Published, Statement, published

# Every statement of the data file, by id.
CHECKS: dict[str, Checker] = protocol.CHECKS | scale.CHECKS | depth.CHECKS | methods.CHECKS | transfer.CHECKS


def audit_study(study: Published | None = None) -> Audit:
    """Recomputes every interval, p value, effect size and derived claim of the study, mismatches first.

    A number agrees when it is within half a unit of the last digit printed. A conclusion stands when the test
    that was due (exact McNemar over distinct prompts, at whatever pairing the published counts allow) gives it.
    """
    study = study or published()
    findings = [
        *audit_comparisons(study),
        *audit_intervals(study),
        *audit_transfers(study),
        *(_statement(statement, study) for statement in study.statements),
    ]
    return sorted_audit(study.name, findings)


def _statement(statement: Statement, study: Published) -> Finding:
    check = CHECKS[statement.id](study)._asdict()
    return Finding(**statement.model_dump(), **(check | {"values": dict(check["values"])}))
