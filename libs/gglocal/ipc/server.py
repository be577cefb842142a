"""The Unix socket that components connect to."""

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
    """Serves a core's IPC on `socket_path`.

    Args:
        deployments: what deploys and stops components; None: nobody does.
    """

    def __init__(self, core: NucleusState, socket_path: Path, deployments: DeploymentQueue | None = None) -> None:
        self.seats, self.socket_path = ClientLimits(core, deployments), Path(socket_path)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; a socket that a dead nucleus left behind is replaced.

        Raises:
            ValueError: the path is too long for a Unix socket.
            OSError: another nucleus listens there, or the folder cannot be written.
        """
        length = len(os.fsencode(self.socket_path))
        if length > MAX_PATH:
            raise ValueError(
                f"the socket's path {self.socket_path} has {length} bytes, a Unix socket's at most {MAX_PATH}; choose a shorter root folder"
            )
        self._remove_stale()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: Connection(self.seats), str(self.socket_path), backlog=128)
        self.socket_path.chmod(0o600)

    async def close(self) -> None:
        """Stop listening, and disconnect everybody."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self.socket_path.unlink(missing_ok=True)
        for connection in list(self.seats.taken):
            connection.abort()
        await asyncio.sleep(0)

    def disconnect(self, component: str) -> None:
        """Cut all connections of one component."""
        for connection in list(self.seats.taken):
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
        raise OSError(f"another nucleus listens at {self.socket_path}; stop it or choose another root folder")
