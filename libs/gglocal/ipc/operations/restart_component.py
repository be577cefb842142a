"""RestartComponent: `componentName`. Responds once the component is starting again."""

from __future__ import annotations

from typing import Any

from gglocal.errors import NucleusError
from gglocal.ipc.errors import IpcError
from gglocal.ipc.request import Request


async def handle(request: Request) -> dict[str, Any]:
    name = request.argument("componentName", str)
    request.authorize(name)
    try:
        await request.deployments.engine.supervisor.restart(name)
    except NucleusError as error:
        raise IpcError("ResourceNotFoundError", str(error)) from None
    return {"restartStatus": "SUCCEEDED"}
