"""The parts of a running nucleus: engine, local deployments, IPC server and injected faults."""

from __future__ import annotations

from typing import Any

from gglocal.deployment.engine import Engine
from gglocal.deployment.queue import DeploymentQueue
from gglocal.faults import ActiveFaults
from gglocal.ipc.server import IpcServer
from gglocal.profile import Profile
from gglocal.root_dir import Root


class NucleusAssembly:
    """Used on the event loop on which `start` is called; the arguments are those of `Engine`."""

    def __init__(self, root: Root, profile: Profile, **options: Any) -> None:
        self.engine = Engine(root, profile, **options)
        self.deployments = DeploymentQueue(self.engine)
        self.ipc = IpcServer(self.engine.core, root.ipc_socket, self.deployments)
        self.faults = ActiveFaults(self.engine, self.ipc)

    async def start(self) -> None:
        await self.engine.start()
        await self.ipc.start()

    async def close(self) -> None:
        """Stop all components, then the nucleus."""
        self.faults.end_all()
        await self.deployments.close()
        await self.engine.stop()
        await self.ipc.close()
        await self.engine.close()
