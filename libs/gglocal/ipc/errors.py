"""Errors of IPC operations and connections.

IpcError          sent to the client on the stream; `name` is the error's type in the service model, without the namespace
ProtocolError     the client violates the protocol; its connection is closed
"""

from __future__ import annotations


class IpcError(Exception):
    """Sent to the client as an `ApplicationError`."""

    def __init__(self, name: str, message: str = "") -> None:
        super().__init__(message)
        self.name, self.message = name, message


class ProtocolError(Exception):
    """Logged with the reason before the connection is closed."""
