"""ListLocalDeployments: the newest first. Needs a policy of `aws.greengrass.Cli`."""

from __future__ import annotations

from typing import Any

from gglocal.ipc.request import Request


def handle(request: Request) -> dict[str, Any]:
    request.authorize("*")
    return {"localDeployments": [each.answer() for each in request.deployments.all()]}
