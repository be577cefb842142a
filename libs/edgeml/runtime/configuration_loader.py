"""Reads the component's configuration and restarts the service with it; falls back to the last good one if it is refused."""

from __future__ import annotations

import logging
from typing import Any, Generic, TypeVar

from edgeml.auth.device_key import MessageAuthOptions
from edgeml.auth.verifier import MessageVerifier
from edgeml.backoff import Backoff
from edgeml.errors import BusError, ConfigurationTooLarge, EdgemlError, OptionsError
from edgeml.ipc.bus import IpcBus
from edgeml.ipc.call_errors import name
from edgeml.runtime.fault_guard import FaultGuard
from edgeml.runtime.last_good_config import LastGoodConfig
from edgeml.runtime.service import ComponentContext
from edgeml.runtime.service_host import ServiceHost

log = logging.getLogger("edgeml")

SETTLE_S = 0.3
"""On Lite, configuration changes arrive leaf by leaf; the configuration is read when no change has arrived for this long."""
READ_S = 2.0
"""For how long a failed read is retried at once, and the pause before the next one."""
REMOVAL_S = 15.0
"""For how long a missing configuration is taken for the removal of the component."""
RETRY_FIRST_S, RETRY_MAX_S = 2.0, 60.0
"""Delays before a service is created again that failed for another reason than its options, such as a full disk or a missing sensor."""

O = TypeVar("O")  # noqa: E741


class ConfigurationLoader(Generic[O]):
    """
    Attributes:
        reload_at: monotonic time of the next read; None: none is due.
    """

    def __init__(
        self,
        bus: IpcBus,
        context: ComponentContext,
        host: ServiceHost[O],
        last_good: LastGoodConfig[O],
        verifier: MessageVerifier,
        faults: FaultGuard,
    ) -> None:
        self._bus, self._context, self._host, self._last_good, self._verifier, self._guard = bus, context, host, last_good, verifier, faults
        self.reload_at: float | None = None
        self._applied: dict[str, Any] | None = None  # in effect, or refused; None: apply the next one whatever it is
        self._attempted: dict[str, Any] | None = None
        self._running: tuple[MessageAuthOptions, O] | None = None  # the options of the running service
        self._faults: tuple[str, ...] = ()
        self._read_faults: tuple[str, ...] = ()  # why it cannot be read, if that takes a person
        self._missing_since: float | None = None
        self._event_received = False
        self._retry = Backoff(RETRY_FIRST_S, RETRY_MAX_S)

    @property
    def faults(self) -> tuple[str, ...]:
        """Sentences for the status."""
        return self._read_faults + self._faults + self._last_good.faults

    def schedule(self, event: bool) -> None:
        """Read the configuration soon, because of a change event or a poll."""
        self.reload_at = self._context.monotonic() + SETTLE_S
        self._event_received |= event

    def tick(self, now: float) -> None:
        """Read the configuration if that is due."""
        if self.reload_at is not None and now >= self.reload_at:
            self.reload_at = None
            self.reload()

    def reload(self) -> None:
        """Read the configuration; restart the service if it changed. A wrong one leaves a running service unchanged."""
        try:
            raw = self._bus.configuration(READ_S if self._host.service is None else 0.0, self._last_good.known)
        except ConfigurationTooLarge as fault:
            self._too_large(fault)
            return
        except Exception as fault:
            self._guard.throttle.warn(str(fault), "configuration", traceback=not isinstance(fault, BusError))
            self.reload_at = self._context.monotonic() + READ_S
            return
        event_received, self._event_received = self._event_received, False
        self._read_faults = ()
        if self._removal_assumed(raw):
            return
        raw = {key: value for key, value in raw.items() if key != "accessControl"}
        if raw == self._applied:
            return
        if self._applied is not None and not event_received:
            self._bus.resubscribe_unmonitored("the configuration has changed without an event")
        repeated, self._applied, self._attempted = raw == self._attempted, raw, raw
        if not repeated:
            self._retry.reset()
        self._faults = ()
        self._apply(raw, repeated)

    def _apply(self, raw: dict[str, Any], repeated: bool) -> None:
        previous, starting = self._running, False
        try:
            self._context.work.mkdir(parents=True, exist_ok=True)
            message_auth, options = self._last_good.read(raw)
            service = self._host.prepare(options)
            self._host.stop()
            self._running = None
            self._verifier.configure(message_auth)
            service = service or self._host.create(options)
            starting = True  # a fault from here on comes from the bus, not from the options
            self._host.start(service)
            starting, self._running = False, (message_auth, options)
            self._last_good.remember(raw)
            self._retry.reset()
        except Exception as fault:
            # An exit would only spend one of the nucleus's three errors, and the next process would fail in the same way.
            self._faults = _sentences(fault)
            self._last_good.refuse(raw, self._faults)
            for sentence in self._faults if not repeated else ():
                log.error("configuration: %s", sentence, exc_info=not isinstance(fault, EdgemlError | OSError))
            if self._host.service is None:
                self._fall_back(previous)
            if not isinstance(fault, OptionsError) and (self._host.service is None or self._host.side_by_side or starting):
                self._applied = None
                self.reload_at = self._context.monotonic() + self._retry.next()

    def _removal_assumed(self, raw: dict[str, Any]) -> bool:
        """Whether this component is probably being removed: classic removes the whole configuration before it stops the process."""
        now = self._context.monotonic()
        if raw or self._host.service is None or not self._applied:
            self._missing_since = None
            return False
        if self._missing_since is None:
            self._missing_since = now
            log.info("the whole configuration is gone, as before a component is removed; the service continues for %g s", REMOVAL_S)
        if now - self._missing_since >= REMOVAL_S:
            return False
        self.reload_at = self._missing_since + REMOVAL_S
        return True

    def _too_large(self, fault: ConfigurationTooLarge) -> None:
        """Treat it as a wrong configuration: report it and continue with the last good one."""
        if self._read_faults != (str(fault),):
            self._read_faults, self._retry = (str(fault),), Backoff(RETRY_FIRST_S, RETRY_MAX_S)
            log.error("configuration: %s", fault)
            if self._host.service is None:
                self._fall_back(None)
        self.reload_at = self._context.monotonic() + self._retry.next()

    def _fall_back(self, previous: tuple[MessageAuthOptions, O] | None) -> None:
        """Start the service with the configuration that worked last, in this process or an earlier one, if it still works."""
        try:
            message_auth, options = previous or self._last_good.read(self._last_good.last_good())
            self._verifier.configure(message_auth)
            self._host.start(self._host.create(options))
            self._running = message_auth, options
            log.warning(
                "continuing with the previous configuration; to remove a key that was merged by mistake, reset it: `reset: [/policy/hold]`"
            )
        except FileNotFoundError:
            log.error("no last-good configuration to restore; waiting for a valid configuration")
        except Exception as fault:
            self._guard.throttle.warn(
                f"the last-good configuration does not work either ({name(fault)}); waiting for a valid configuration", "fall back"
            )


def _sentences(fault: Exception) -> tuple[str, ...]:
    if isinstance(fault, OptionsError):
        return tuple(fault.faults)
    if isinstance(fault, EdgemlError):
        return (str(fault),)
    return (f"the component cannot start its work ({name(fault)}); retrying within a minute",)
