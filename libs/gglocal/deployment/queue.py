"""Deployments to a nucleus that runs: queued, carried out one at a time, followed to their end, and taken back on failure.

The verbs of `gglocal deployment` and the IPC operations behind them end here. Everything is on the nucleus's loop.
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
NOT_ASKED, ROLLED_BACK, STUCK = "FAILED_ROLLBACK_NOT_REQUESTED", "FAILED_ROLLBACK_COMPLETE", "FAILED_UNABLE_TO_ROLLBACK"
ROLLBACK, DO_NOTHING = "ROLLBACK", "DO_NOTHING"
POLICIES = (ROLLBACK, DO_NOTHING)

SETTLED_S = 1.0
"""A deployment has succeeded when every component has been RUNNING or FINISHED for so long, without a new start."""
KEPT = 100
"""Deployments that are remembered, with how they ended."""
_LOOK_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a local deployment asks for.

    Attributes:
        merge: version or range by component.
        remove: components that are no longer deployed for their own sake.
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
    """One deployment and what became of it.

    Attributes:
        created: seconds since the epoch.
        detailed: empty until it has ended.
        cause: why it failed, or empty.
    """

    id: str
    wanted: Wanted
    created: float
    status: str = QUEUED
    detailed: str = ""
    cause: str = ""

    def answer(self) -> dict[str, Any]:
        """As GetLocalDeploymentStatus and ListLocalDeployments have it."""
        created = datetime.fromtimestamp(self.created, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        made: dict[str, Any] = {"deploymentId": self.id, "status": self.status, "createdOn": created}
        if self.detailed:
            made["deploymentStatusDetails"] = {"detailedDeploymentStatus": self.detailed}
            if self.cause:
                made["deploymentStatusDetails"]["deploymentFailureCause"] = self.cause
        return made


class DeploymentQueue:
    """The queue of one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._known: dict[str, LocalDeployment] = {}
        self._queue: asyncio.Queue[LocalDeployment] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Leave what has not ended as it is."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
            self._worker = None

    def create(self, wanted: Wanted) -> LocalDeployment:
        """Queue a deployment.

        Raises:
            DeploymentError: it asks for nothing, or for what cannot be.
        """
        if wanted.on_failure not in POLICIES:
            raise DeploymentError(f"the failure handling policy {wanted.on_failure!r} is unknown; use {' or '.join(POLICIES)}")
        configuration_updates(dict(wanted.config), "the configuration update")
        made = LocalDeployment(str(uuid4()), wanted, time.time())
        self._known[made.id] = made
        for old in [each.id for each in self._known.values() if each.detailed][: max(0, len(self._known) - KEPT)]:
            del self._known[old]
        self._queue.put_nowait(made)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="local deployments")
        return made

    def find(self, deployment: str) -> LocalDeployment:
        """
        Raises:
            NucleusError: there is none.
        """
        if deployment not in self._known:
            raise NucleusError(f"there is no local deployment {deployment}; gglocal deployment list names those that there are")
        return self._known[deployment]

    def all(self) -> list[LocalDeployment]:
        """The newest first."""
        return list(reversed(self._known.values()))

    async def _work(self) -> None:
        while True:
            await self._carry_out(await self._queue.get())

    async def _carry_out(self, deployment: LocalDeployment) -> None:
        wanted, engine = deployment.wanted, self.engine
        deployment.status = IN_PROGRESS
        before = engine.checkpoint()
        try:
            await engine.deploy(list(wanted.recipe_dirs), list(wanted.artifact_dirs), wanted.merge, wanted.config, wanted.remove)
        except (GglocalError, OSError) as fault:
            engine.put_back_configuration(before)
            self._end(deployment, UNCHANGED, str(fault))
            return
        except Exception as fault:  # a fault of the nucleus must not end the queue
            log.exception("the deployment %s failed inside the nucleus", deployment.id)
            self._end(deployment, STUCK, repr(fault))
            return
        cause = await self._settle()
        if not cause:
            self._end(deployment, SUCCESSFUL)
        elif wanted.on_failure == DO_NOTHING or not engine.profile.rolls_back:
            self._end(deployment, NOT_ASKED, cause)
        else:
            log.warning("the deployment %s failed: %s; what was before comes back", deployment.id, cause)
            await engine.restore(before)
            left = await self._settle()
            self._end(deployment, STUCK if left else ROLLED_BACK, f"{cause}; and after the rollback: {left}" if left else cause)

    async def _settle(self) -> str:
        """Until every component is RUNNING or FINISHED and stays so, which gives an empty text; or one is BROKEN: which, and why."""
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
            elif time.monotonic() - since >= SETTLED_S:
                return ""
            await asyncio.sleep(_LOOK_S)

    def _end(self, deployment: LocalDeployment, detailed: str, cause: str = "") -> None:
        deployment.detailed, deployment.cause = detailed, cause
        deployment.status = SUCCEEDED if detailed == SUCCESSFUL else FAILED
        log.log(logging.INFO if detailed == SUCCESSFUL else logging.ERROR, "deployment %s: %s %s", deployment.id, detailed, cause)
