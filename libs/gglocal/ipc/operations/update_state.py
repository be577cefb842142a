"""UpdateState: the caller reports `state`, RUNNING or ERRORED."""

from __future__ import annotations

from gglocal.ipc.errors import IpcError
from gglocal.ipc.request import Request

STATES = ("RUNNING", "ERRORED")


def handle(request: Request) -> None:
    state = request.argument("state", str)
    if state not in STATES:
        raise IpcError("ServiceError", f"state {state!r} is unknown; a component reports {' or '.join(STATES)}")
    request.core.report_state(request.component, state)
