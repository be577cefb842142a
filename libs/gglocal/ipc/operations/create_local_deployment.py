"""CreateLocalDeployment: `rootComponentVersionsToAdd`, `rootComponentsToRemove`, `componentToConfiguration`, `recipeDirectoryPath`,
`artifactsDirectoryPath`, `failureHandlingPolicy`.

`groupName` and `componentToRunWithInfo` are accepted and ignored: there is one group, and components run as the developer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gglocal.deployment.queue import ROLLBACK, DeploymentRequest
from gglocal.errors import DeploymentError
from gglocal.ipc.errors import IpcError
from gglocal.ipc.request import Request


def handle(request: Request) -> dict[str, Any]:
    request.authorize("*")
    merge, remove = request.optional("rootComponentVersionsToAdd", dict), request.optional("rootComponentsToRemove", list)
    config = request.optional("componentToConfiguration", dict)
    recipes, artifacts = (request.optional(key, str) for key in ("recipeDirectoryPath", "artifactsDirectoryPath"))
    requested = DeploymentRequest(
        merge={str(name): str(version) for name, version in (merge or {}).items()},
        remove=tuple(map(str, remove or ())),
        config=config or {},
        recipe_dirs=(Path(recipes),) if recipes else (),
        artifact_dirs=(Path(artifacts),) if artifacts else (),
        on_failure=request.optional("failureHandlingPolicy", str) or ROLLBACK,
    )
    try:
        return {"deploymentId": request.deployments.create(requested).id}
    except DeploymentError as error:
        raise IpcError("InvalidArgumentsError", str(error)) from None
