"""What an operation answers when it cannot do what is asked.

IpcError     answered on the stream; `name` is the error's type in the service model, without the namespace
Malformed    the connection itself is broken or abused and is closed
"""

from __future__ import annotations


class IpcError(Exception):
    """Answered on the stream as an `ApplicationError`."""

    def __init__(self, name: str, message: str = "") -> None:
        super().__init__(message)
        self.name, self.message = name, message


class Malformed(Exception):
    """The text says what was wrong; it goes to the log and the connection is closed."""
