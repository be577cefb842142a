"""GetLocalDeploymentStatus: `deploymentId`."""

from __future__ import annotations

from typing import Any

from gglocal.errors import NucleusError
from gglocal.ipc.errors import IpcError
from gglocal.ipc.request import Request


def handle(request: Request) -> dict[str, Any]:
    deployment = request.argument("deploymentId", str)
    request.authorize(deployment)
    try:
        return {"deployment": request.deployments.find(deployment).as_dict()}
    except NucleusError as error:
        raise IpcError("ResourceNotFoundError", str(error)) from None
