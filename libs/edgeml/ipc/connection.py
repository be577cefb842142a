"""The connection to the nucleus, made again whenever it is gone.

What a component sees when it cannot connect, and what helps:

- The socket is not there, or nobody takes the connection: the broker is away, or on its way. It is waited for, as long as it takes.
- A broker takes the connection and closes it: it has forgotten our SVCUID, as Lite's does when it restarts. Only a launch by the nucleus
  brings another one. A relaunch spends one of the nucleus's three errors an hour, so it takes `REFUSALS` such answers in a row.

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

REFUSALS = 5
"""Tries that a broker answers by closing the connection, after which only a relaunch helps: about 3 s."""
NEEDED = ("SVCUID", sdk_adapter.SOCKET)


class Connection:
    """One try at a time, with back-off; used by one thread.

    Attributes:
        lost_at: since when there is none.
        due: when the next try is worth while.
        hopeless: why only a relaunch helps; empty while there is hope.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._link: sdk_adapter.SdkAdapter | None = None
        self._backoff = Backoff(0.2, 2.0)
        self._refusals = 0
        self.lost_at = self.due = monotonic()
        self.hopeless = ""

    @property
    def client(self) -> GreengrassCoreIPCClient | None:
        """The client of the connection that stands."""
        if self._link is not None and not self._link.alive:
            self.drop()
        return self._link.client if self._link is not None else None

    def attempt(self) -> bool:
        """Try to connect if it is time to; True when a connection was made that was not there before."""
        if self.client is not None or self._monotonic() < self.due:
            return False
        missing = [each for each in NEEDED if not os.environ.get(each)]
        if missing:
            self.hopeless = f"the environment has no {missing[0]}: this component is started by a Greengrass nucleus"
            return False
        try:
            self._link = sdk_adapter.dial()
        except Exception as fault:  # awscrt raises many kinds, and every one of them means: not connected
            self._failed(fault)
            return False
        log.info("connected to the nucleus")
        self._backoff.reset()
        self._refusals = 0
        self.hopeless = ""
        return True

    def drop(self) -> None:
        """Close it; the next `attempt` makes another."""
        link, self._link = self._link, None
        if link is not None:
            link.close()
            self.lost_at = self.due = self._monotonic()

    def _failed(self, fault: Exception) -> None:
        # A broker that takes the connection and says nothing is busy or stopped: that mends without us.
        refused = not isinstance(fault, sdk_adapter.LATE) and sdk_adapter.answers()
        if refused and not self._refusals:
            self._backoff.reset()  # it is back: however long it was waited for, what it answers is soon known
        self._refusals = self._refusals + 1 if refused else 0
        if self._refusals >= REFUSALS:
            self.hopeless = (
                f"the nucleus closed {REFUSALS} connections in a row: it does not know this process any more, or takes no more clients; "
                "exiting so that it launches this component anew"
            )
        level = logging.WARNING if self._backoff.tries == 0 else logging.DEBUG
        log.log(level, "cannot connect to the nucleus (%s); trying again", name(fault))
        self.due = self._monotonic() + self._backoff.next()
