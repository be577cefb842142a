"""Keeps a component alive through faults in its work: an exit would spend one of the nucleus's three errors an hour."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgeml.errors import EdgemlError
from edgeml.ipc.bus import RestartRequired
from edgeml.ipc.call_errors import name
from edgeml.log_throttle import LogThrottle

FAILED = object()
"""Returned by `FaultGuard.run` in place of a result."""


class FaultGuard:
    """
    Attributes:
        throttle: logs the faults, and holds those for the status.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.throttle = LogThrottle(monotonic)

    def run(self, where: str, work: Callable[[], Any]) -> Any:
        """Return the result of `work`, or `FAILED` after logging its fault. Only `RestartRequired` passes."""
        try:
            return work()
        except RestartRequired:
            raise
        except EdgemlError as fault:
            self.throttle.warn(f"{where}: {fault}", where)
        except Exception as fault:
            sentence = f"{where}: an unexpected error; this message or step is skipped"
            self.throttle.warn(sentence, where, traceback=True, status=f"{sentence} ({name(fault)}); see the log, and report it")
        return FAILED
