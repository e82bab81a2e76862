"""Audit: copies are read back, so that damage is noticed while there is something to repair from."""

from prefect import flow

from coldchain.forms import AuditForm
from tasks import auditing


@flow(name="audit", flow_run_name="audit")
def audit(form: AuditForm) -> str:
    """Read back what is due, the cheapest and oldest first, and look for strays; fails where the audit of a location is stopped.

    Args:
        form: How much to read, and where.
    """
    report = auditing.audit_site(budget_gb=form.budget_gb, locations=form.locations)
    found = auditing.find_strays(form.locations, wanted=form.strays)
    auditing.audited(report, found)
    return auditing.conclude(report)
