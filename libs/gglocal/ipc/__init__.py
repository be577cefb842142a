"""Greengrass IPC: the server to which components connect."""

from __future__ import annotations

from gglocal.ipc.server import IpcServer

__all__ = ["IpcServer"]
