"""DeferComponentUpdate: `deploymentId`, `recheckAfterMs` (0: proceed), `message`. Only a subscriber to component updates may call it."""

from __future__ import annotations

import logging

from gglocal.core.update_deferral import NotSubscribed, TooLate
from gglocal.ipc.errors import IpcError
from gglocal.ipc.request import Request

log = logging.getLogger("gglocal.ipc")


def handle(request: Request) -> None:
    deployment = request.argument("deploymentId", str)
    after_ms, reason = request.optional("recheckAfterMs", int) or 0, request.optional("message", str)
    try:
        request.core.update_deferral.defer(request.component, deployment, max(0, after_ms) / 1000)
    except NotSubscribed:
        raise request.invalid("Component is not subscribed to component update events") from None
    except TooLate:
        raise IpcError("ServiceError", "Time limit to respond to PreComponentUpdateEvent exceeded") from None
    if after_ms > 0:
        log.info("%s defers deployment %s by %d ms: %s", request.component, deployment, after_ms, reason or "no reason given")
