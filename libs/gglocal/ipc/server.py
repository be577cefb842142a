"""The Unix socket to which components connect."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from gglocal.core.state import NucleusState
from gglocal.deployment.queue import DeploymentQueue
from gglocal.ipc.client_limits import ClientLimits
from gglocal.ipc.connection import Connection

MAX_PATH = 107
"""Bytes of a Unix socket's path, Linux."""


class IpcServer:
    """Serves the nucleus's IPC on `socket_path`.

    Args:
        deployments: deploys and stops components; None: management operations are not available.
    """

    def __init__(self, core: NucleusState, socket_path: Path, deployments: DeploymentQueue | None = None) -> None:
        self.limits, self.socket_path = ClientLimits(core, deployments), Path(socket_path)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Start to listen. A stale socket is replaced.

        Raises:
            ValueError: the path is too long for a Unix socket.
            OSError: another nucleus listens on the socket, or the folder is not writable.
        """
        length = len(os.fsencode(self.socket_path))
        if length > MAX_PATH:
            raise ValueError(
                f"the socket path {self.socket_path} has {length} bytes, at most {MAX_PATH} are possible; choose a shorter root folder"
            )
        self._remove_stale()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: Connection(self.limits), str(self.socket_path), backlog=128)
        self.socket_path.chmod(0o600)

    async def close(self) -> None:
        """Stop listening, and disconnect all clients."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self.socket_path.unlink(missing_ok=True)
        for connection in list(self.limits.clients):
            connection.abort()
        await asyncio.sleep(0)

    def disconnect(self, component: str) -> None:
        """Close all connections of one component."""
        for connection in list(self.limits.clients):
            if connection.component == component:
                connection.abort()

    def _remove_stale(self) -> None:
        if not self.socket_path.exists():
            return
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(self.socket_path))
            except OSError:
                self.socket_path.unlink(missing_ok=True)
                return
        raise OSError(f"another nucleus listens on {self.socket_path}; stop it, or choose another root folder")
