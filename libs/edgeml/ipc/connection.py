"""The connection to the nucleus, with reconnection.

Causes of a failed attempt, and the remedy:

- The socket is missing, or nobody accepts the connection: the broker is down or starting. Wait, without a limit.
- A broker accepts the connection and closes it: it has forgotten our SVCUID, as Lite's does when it restarts. Only a relaunch by the
  nucleus provides another one. A relaunch spends one of the nucleus's three errors an hour, so it takes `MAX_REFUSALS` in a row.

Times are seconds of the monotonic clock.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from awsiot.greengrasscoreipc.client import GreengrassCoreIPCClient

from edgeml.backoff import Backoff
from edgeml.ipc import sdk_adapter
from edgeml.ipc.call_errors import name

log = logging.getLogger(__name__)

MAX_REFUSALS = 5
"""Attempts, about 3 s, that a broker answers by closing the connection before only a relaunch helps."""
REQUIRED_ENVIRONMENT = ("SVCUID", sdk_adapter.SOCKET)


class Connection:
    """One attempt at a time, with back-off; used by one thread.

    Attributes:
        lost_at: time of the disconnection.
        next_attempt: time of the next attempt.
        fatal_error: why only a relaunch helps; empty: reconnecting may help.
        shutting_down: the component stops; calls are not retried any more.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._link: sdk_adapter.SdkAdapter | None = None
        self._backoff = Backoff(0.2, 2.0)
        self._refusals = 0
        self.lost_at = self.next_attempt = monotonic()
        self.fatal_error = ""
        self.shutting_down = False

    @property
    def client(self) -> GreengrassCoreIPCClient | None:
        """The client of the open connection; None: there is no connection."""
        if self._link is not None and not self._link.alive:
            self.drop()
        return self._link.client if self._link is not None else None

    def attempt(self) -> bool:
        """Try to connect if an attempt is due; True if this made a new connection."""
        if self.client is not None or self._monotonic() < self.next_attempt:
            return False
        missing = [each for each in REQUIRED_ENVIRONMENT if not os.environ.get(each)]
        if missing:
            self.fatal_error = f"the environment has no {missing[0]}: this component is started by a Greengrass nucleus"
            return False
        try:
            self._link = sdk_adapter.dial()
        except Exception as fault:  # awscrt raises many types, and each of them means: not connected
            self._failed(fault)
            return False
        log.info("connected to the nucleus")
        self._backoff.reset()
        self._refusals = 0
        self.fatal_error = ""
        return True

    def drop(self) -> None:
        """Close the connection; the next `attempt` makes another."""
        link, self._link = self._link, None
        if link is not None:
            link.close()
            self.lost_at = self.next_attempt = self._monotonic()

    def _failed(self, fault: Exception) -> None:
        # A broker that accepts the connection without an answer is busy or suspended, and recovers by itself.
        refused = not isinstance(fault, sdk_adapter.LATE) and sdk_adapter.accepts_connections()
        if refused and not self._refusals:
            self._backoff.reset()  # the broker is back, so its answer is soon known, however long it was away
        self._refusals = self._refusals + 1 if refused else 0
        if self._refusals >= MAX_REFUSALS:
            self.fatal_error = (
                f"the nucleus closed {MAX_REFUSALS} connections in a row: it no longer knows this process, or accepts no more clients; "
                "exiting so that the nucleus relaunches this component"
            )
        level = logging.WARNING if self._backoff.tries == 0 else logging.DEBUG
        log.log(level, "cannot connect to the nucleus (%s); retrying", name(fault))
        self.next_attempt = self._monotonic() + self._backoff.next()
