"""SendConfigurationValidityReport: the result of validating a proposed configuration."""

from __future__ import annotations

from typing import Any

from gglocal.core.config_validation import ACCEPTED, REJECTED, NotExpected
from gglocal.ipc.request import Request


def handle(request: Request) -> dict[str, Any]:
    report = request.argument("configurationValidityReport", dict)
    deployment, status, message = (report.get(key) for key in ("deploymentId", "status", "message"))
    if not isinstance(deployment, str):
        raise request.invalid("Cannot accept configuration validity report, the deployment ID provided was null")
    if status not in (ACCEPTED, REJECTED):
        raise request.invalid(f"configurationValidityReport.status must be {ACCEPTED} or {REJECTED}")
    try:
        request.core.config_validation.report(request.component, deployment, str(status), message if isinstance(message, str) else "")
    except NotExpected:
        raise request.invalid("Validation request either timed out or was never made") from None
    return {}
