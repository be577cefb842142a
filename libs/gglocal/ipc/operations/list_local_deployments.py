"""ListLocalDeployments: the newest first."""

from __future__ import annotations

from typing import Any

from gglocal.ipc.request import Request


def handle(request: Request) -> dict[str, Any]:
    request.authorize("*")
    return {"localDeployments": [each.as_dict() for each in request.deployments.all()]}
