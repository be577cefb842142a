"""Local deployments: queued, executed one at a time, monitored until they end, and rolled back on failure.

Serves `gglocal deployment` and the management operations of IPC, on the nucleus's event loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

from gglocal.deployment.engine import Engine
from gglocal.deployment.resolver import configuration_updates
from gglocal.errors import DeploymentError, GglocalError, NucleusError
from gglocal.process.component import BROKEN, READY

log = logging.getLogger("gglocal")

QUEUED, IN_PROGRESS, SUCCEEDED, FAILED = "QUEUED", "IN_PROGRESS", "SUCCEEDED", "FAILED"
SUCCESSFUL, UNCHANGED = "SUCCESSFUL", "FAILED_NO_STATE_CHANGE"
NOT_REQUESTED, ROLLED_BACK, ROLLBACK_FAILED = "FAILED_ROLLBACK_NOT_REQUESTED", "FAILED_ROLLBACK_COMPLETE", "FAILED_UNABLE_TO_ROLLBACK"
ROLLBACK, DO_NOTHING = "ROLLBACK", "DO_NOTHING"
POLICIES = (ROLLBACK, DO_NOTHING)

STABLE_S = 1.0
"""A deployment has succeeded once every component has been RUNNING or FINISHED for this long without a restart."""
MAX_REMEMBERED = 100
"""Number of deployments whose status is kept."""
_POLL_S = 0.1


@dataclass(frozen=True, kw_only=True)
class DeploymentRequest:
    """The request for a local deployment.

    Attributes:
        merge: version or range by component.
        remove: components to remove from the root components.
        config: `{component: {"merge": {...}, "reset": ["/pointer"]}}`.
        on_failure: ROLLBACK or DO_NOTHING.
    """

    merge: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    recipe_dirs: tuple[Path, ...] = ()
    artifact_dirs: tuple[Path, ...] = ()
    on_failure: str = ROLLBACK


@dataclass
class LocalDeployment:
    """One deployment and its status.

    Attributes:
        created: seconds since the epoch.
        detailed: the detailed status; empty until the deployment has ended.
        cause: the cause of a failure, or empty.
    """

    id: str
    request: DeploymentRequest
    created: float
    status: str = QUEUED
    detailed: str = ""
    cause: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The form of GetLocalDeploymentStatus and ListLocalDeployments."""
        created = datetime.fromtimestamp(self.created, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        result: dict[str, Any] = {"deploymentId": self.id, "status": self.status, "createdOn": created}
        if self.detailed:
            result["deploymentStatusDetails"] = {"detailedDeploymentStatus": self.detailed}
            if self.cause:
                result["deploymentStatusDetails"]["deploymentFailureCause"] = self.cause
        return result


class DeploymentQueue:
    """The queue of one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._known: dict[str, LocalDeployment] = {}
        self._queue: asyncio.Queue[LocalDeployment] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Stop processing; unfinished deployments keep their status."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
            self._worker = None

    def create(self, request: DeploymentRequest) -> LocalDeployment:
        """Queue a deployment.

        Raises:
            DeploymentError: the request is invalid.
        """
        if request.on_failure not in POLICIES:
            raise DeploymentError(f"the failure handling policy {request.on_failure!r} is unknown; use {' or '.join(POLICIES)}")
        configuration_updates(dict(request.config), "the configuration update")
        deployment = LocalDeployment(str(uuid4()), request, time.time())
        self._known[deployment.id] = deployment
        for old in [each.id for each in self._known.values() if each.detailed][: max(0, len(self._known) - MAX_REMEMBERED)]:
            del self._known[old]
        self._queue.put_nowait(deployment)
        if self._worker is None:
            self._worker = asyncio.create_task(self._process(), name="local deployments")
        return deployment

    def find(self, deployment_id: str) -> LocalDeployment:
        """
        Raises:
            NucleusError: the deployment is unknown.
        """
        if deployment_id not in self._known:
            raise NucleusError(f"unknown local deployment {deployment_id}; gglocal deployment list shows all")
        return self._known[deployment_id]

    def all(self) -> list[LocalDeployment]:
        """The newest first."""
        return list(reversed(self._known.values()))

    async def _process(self) -> None:
        while True:
            deployment = await self._queue.get()
            deployment.status = IN_PROGRESS
            try:
                detailed, cause = await self._execute(deployment)
            except Exception as error:  # an internal error must not stop the queue
                log.exception("deployment %s failed with an internal error", deployment.id)
                detailed, cause = ROLLBACK_FAILED, repr(error)
            self._end(deployment, detailed, cause)

    async def _execute(self, deployment: LocalDeployment) -> tuple[str, str]:
        """Deploy, and roll back on failure; returns the detailed status, and the cause of a failure."""
        request, engine = deployment.request, self.engine
        before = engine.checkpoint()
        try:
            await engine.deploy(list(request.recipe_dirs), list(request.artifact_dirs), request.merge, request.config, request.remove)
        except (GglocalError, OSError) as error:
            engine.restore_configuration(before)
            return UNCHANGED, str(error)
        cause = await self._wait_until_stable()
        if not cause:
            return SUCCESSFUL, ""
        if request.on_failure == DO_NOTHING or not engine.profile.rolls_back:
            return NOT_REQUESTED, cause
        log.warning("deployment %s failed: %s; rolling back", deployment.id, cause)
        await engine.restore(before)
        failure = await self._wait_until_stable()
        return (ROLLBACK_FAILED, f"{cause}; after the rollback: {failure}") if failure else (ROLLED_BACK, cause)

    async def _wait_until_stable(self) -> str:
        """Wait until every component is RUNNING or FINISHED and stable; returns the cause if one is BROKEN, else an empty text."""
        seen: list[tuple[str, str, int]] = []
        since = time.monotonic()
        while True:
            components = self.engine.supervisor.components()
            broken = next((each for each in components if each.state == BROKEN), None)
            if broken is not None:
                return f"{broken.name} is BROKEN: {broken.detail}"
            now = [(each.name, each.state, each.starts) for each in components]
            if now != seen or not all(each.state in READY for each in components):
                seen, since = now, time.monotonic()
            elif time.monotonic() - since >= STABLE_S:
                return ""
            await asyncio.sleep(_POLL_S)

    def _end(self, deployment: LocalDeployment, detailed: str, cause: str) -> None:
        deployment.detailed, deployment.cause = detailed, cause
        deployment.status = SUCCEEDED if detailed == SUCCESSFUL else FAILED
        log.log(logging.INFO if detailed == SUCCESSFUL else logging.ERROR, "deployment %s: %s %s", deployment.id, detailed, cause)
