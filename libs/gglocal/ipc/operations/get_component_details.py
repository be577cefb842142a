"""GetComponentDetails: `componentName`."""

from __future__ import annotations

from typing import Any

from gglocal.errors import NucleusError
from gglocal.ipc.errors import IpcError
from gglocal.ipc.request import Request


def handle(request: Request) -> dict[str, Any]:
    name = request.argument("componentName", str)
    request.authorize(name)
    try:
        return {"componentDetails": request.deployments.engine.status_of(name).details()}
    except NucleusError as error:
        raise IpcError("ResourceNotFoundError", str(error)) from None
