"""Greengrass IPC: the server that components connect to."""

from __future__ import annotations

from gglocal.ipc.server import IpcServer

__all__ = ["IpcServer"]
