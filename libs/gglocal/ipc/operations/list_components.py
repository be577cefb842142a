"""ListComponents: all components of the nucleus."""

from __future__ import annotations

from typing import Any

from gglocal.ipc.request import Request


def handle(request: Request) -> dict[str, Any]:
    request.authorize("*")
    return {"components": [each.details() for each in request.deployments.engine.status()]}
