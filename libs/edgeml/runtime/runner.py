"""Runs a component: one loop in one thread around a service.

A component's `__main__` is `sys.exit(app.main("com.edgeml.X", Options, Service))`. The service is built anew when the
configuration changes; what it must remember is on disk or comes back by a replay.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from edgeml.auth.verifier import MessageVerifier
from edgeml.backoff import Backoff
from edgeml.errors import BusError, ConfigurationTooLarge, EdgemlError, MessageError, OptionsError
from edgeml.ipc.bus import Bus, IpcBus, Received, RelaunchNeeded
from edgeml.ipc.call_errors import name
from edgeml.ipc.sdk_adapter import UNTOLD
from edgeml.log_throttle import LogThrottle
from edgeml.messages import Message, Status, decode
from edgeml.parsing.sanitize import printable
from edgeml.runtime.last_good_config import LastGoodConfig
from edgeml.runtime.status_reporter import Metrics, StatusReporter

log = logging.getLogger("edgeml")

RELAUNCH_EXIT = 75
"""Exit code of a component that only its nucleus can help, by launching it anew."""
SETTLE_S = 0.3
"""Configuration changes come leaf by leaf on Lite; they are read once nothing has come for this long."""
CONFIGURATION_S = 2.0
"""For how long reading the configuration is tried at once; then again after as long."""
GONE_S = 15.0
"""For how long a configuration that is gone altogether is taken for a sign of the end."""
PAUSE_S = 0.5
"""After a step of the loop that failed."""
FAILED = object()
RETRY_FIRST_S, RETRY_LONGEST_S = 2.0, 60.0
"""A service that cannot be made for another reason than its options (a full disk, a sensor that is not there) is tried again."""


@dataclass(frozen=True)
class ComponentContext:
    """What a service gets from its surroundings.

    Attributes:
        component: its full name.
        thing: the core device's thing name.
        work: a directory of its own that outlives restarts.
        artifacts: where the nucleus unpacked its artifacts.
        monotonic: seconds, for deadlines and retries.
        wall_ns: nanoseconds since the epoch, for what people read.
    """

    bus: Bus
    component: str
    thing: str
    work: Path
    artifacts: Path
    monotonic: Callable[[], float] = time.monotonic
    wall_ns: Callable[[], int] = time.time_ns


class Service(Protocol):
    """A component's work.

    Attributes:
        topics, cloud_topics: what it subscribes to, local and in IoT Core. Constant while it lives.

    A class whose new instance may be made while the old one still works says `side_by_side = True`: a configuration that it
    refuses then leaves the old one untouched. Others are closed first, because both would want the same file or device.
    One that names `echo_topics` among its `cloud_topics` gets the bytes that come on these by `on_echo(payload)`.
    One that says `timed = True` gets `on_message(topic, message, sent_at)`: the monotonic time at which the message was sent, as far as is
    known, and not that at which its turn has come.
    """

    topics: tuple[str, ...]
    cloud_topics: tuple[str, ...]

    def start(self) -> None:
        """Called once its subscriptions stand, and again after they were renewed (messages may have been missed)."""

    def on_message(self, topic: str, message: Message) -> None: ...

    def tick(self, now: float) -> float:
        """Do what is due at the monotonic time `now`; returns how many seconds from now the next tick is wanted at the latest."""
        ...

    def status(self) -> Status: ...

    def vitals(self) -> Metrics: ...

    def close(self) -> None: ...


O = TypeVar("O")  # noqa: E741


class ServiceRunner(Generic[O]):
    """The loop. Use `main`; this class is for tests that bring their own bus.

    Args:
        make: builds the service from the context and its options; raises EdgemlError for what a person must mend.
    """

    def __init__(self, bus: IpcBus, context: ComponentContext, options: type[O], make: Callable[[ComponentContext, O], Service]) -> None:
        self._bus, self._context, self._make = bus, context, make
        self._settings = LastGoodConfig(options, context.work, context.monotonic)
        self._seals = bus.guard = bus.guard or MessageVerifier(context.component, context.work)
        self._seals.secret = bus.secret
        self._service: Service | None = None
        self._current: O | None = None
        self._raw: dict[str, Any] | None = None  # what the service goes by, or waits in vain for; None: it is to be tried
        self._tried: dict[str, Any] | None = None
        self._faults: tuple[str, ...] = ()
        self._unread: tuple[str, ...] = ()  # why the configuration cannot be read, where that does not mend itself
        self._reload_at: float | None = None
        self._gone_at: float | None = None
        self._told = False
        self._renewed = 0
        self._stopping = False
        self._noise = LogThrottle(context.monotonic)
        self._reporter = StatusReporter(context.component, bus, context.monotonic, context.wall_ns)
        self._retry = Backoff(RETRY_FIRST_S, RETRY_LONGEST_S)

    def stop(self) -> None:
        """Ask the loop to end; for a signal handler."""
        self._stopping = self._bus.hurry = True

    def run(self) -> None:
        """Until `stop`.

        Raises:
            RelaunchNeeded: see `edgeml.ipc.bus`.
        """
        for begin in (self._bus.watch_configuration, self._bus.start_heartbeat, self._reload):
            self._guard("begin", begin)
        try:
            while not self._stopping:
                # The last net: whatever gets here would end the process, spend one of the nucleus's three errors an hour, and mend nothing.
                if self._guard("the loop", self._step) is FAILED:
                    time.sleep(PAUSE_S)
        finally:
            self._guard("close", self._end)
            self._guard("close", self._bus.close)

    def _step(self) -> None:
        now = self._context.monotonic()
        if self._reload_at is not None and now >= self._reload_at:
            self._reload_at = None
            self._reload()
        self._guard("messages", lambda: self._look_at_seals(now))
        self._settings.tick()
        wait, took = 1.0, 0.0
        if self._service is not None:
            if self._bus.renewed != self._renewed:
                self._renewed = self._bus.renewed
                self._guard("start", self._service.start)
            began = self._context.monotonic()
            due = self._guard("tick", lambda: self._service.tick(now))  # type: ignore[union-attr]
            wait, took = min(wait, 1.0 if due is FAILED else due), self._context.monotonic() - began
        self._guard("status", self._report)
        received = self._bus.receive(wait if self._reload_at is None else min(wait, SETTLE_S))
        # Messages get as much time as the tick took: one after each tick that waited for a broker is too few to keep up with a command.
        until = self._context.monotonic() + took
        while received is not None:
            self._take(received)
            if self._stopping or self._context.monotonic() >= until:
                break
            received = self._bus.receive(0.0)

    def _look_at_seals(self, now: float) -> None:
        self._seals.tick(now)
        for sentence, kind in self._seals.news():
            self._noise.warn(sentence, kind)

    def _take(self, received: Received) -> None:
        if received.kind == "configuration":
            self._reload_at = self._context.monotonic() + SETTLE_S
            self._told |= received.payload != UNTOLD
            return
        if self._service is not None and received.kind == "cloud" and received.topic in getattr(self._service, "echo_topics", ()):
            self._guard(received.topic, lambda: self._service.on_echo(received.payload))  # type: ignore[union-attr]
            return
        try:
            message = decode(received.payload)
        except MessageError as fault:
            self._reporter.drops[f"not understood: {received.topic}"] += 1
            self._noise.warn(f"{received.topic}: {fault}", f"{received.topic} {type(fault).__name__}")
            return
        if self._service is not None:
            service = self._service
            when = (received.sent_at,) if getattr(service, "timed", False) and received.kind == "local" else ()
            self._guard(received.topic, lambda: service.on_message(received.topic, message, *when))

    def _guard(self, where: str, work: Callable[[], Any]) -> Any:
        # A fault in the work on one message or tick must not end the component: that would spend one of the nucleus's three errors.
        try:
            return work()
        except RelaunchNeeded:
            raise
        except EdgemlError as fault:
            self._noise.warn(f"{where}: {fault}", where)
        except Exception as fault:
            sentence = f"{where}: an unexpected error; this message or step is skipped"
            self._noise.warn(sentence, where, trace=True, lasting=f"{sentence} ({name(fault)}); see the log, and report it")
        return FAILED

    def _reload(self) -> None:
        """Read the configuration; build the service anew if it changed. A wrong one leaves a running service as it is."""
        try:
            raw = self._bus.configuration(CONFIGURATION_S if self._service is None else 0.0, self._settings.known)
        except ConfigurationTooLarge as fault:
            self._unreadable(fault)
            return
        except Exception as fault:
            self._noise.warn(str(fault), "configuration", trace=not isinstance(fault, BusError))
            self._reload_at = self._context.monotonic() + CONFIGURATION_S
            return
        told, self._told = self._told, False
        self._unread = ()
        if self._leaving(raw):
            return
        raw = {key: value for key, value in raw.items() if key != "accessControl"}
        if raw == self._raw:
            return
        if self._raw is not None and not told:
            self._bus.renew_unheard("the configuration has changed and nobody told")
        again, self._raw, self._tried = raw == self._tried, raw, raw
        if not again:
            self._retry.reset()
        self._faults = ()
        previous = self._current
        try:
            self._context.work.mkdir(parents=True, exist_ok=True)
            messages, options = self._settings.read(raw)
            fresh = self._make(self._context, options) if getattr(self._make, "side_by_side", False) else None
            self._end()
            self._seals.configure(messages)
            self._begin(options, fresh)
            self._settings.remember(raw)
            self._retry.reset()
        except Exception as fault:
            # Whatever it is, an exit would only spend one of the nucleus's three errors, and the next process would find the same.
            self._faults = _sentences(fault)
            self._settings.refuse(raw, self._faults)
            for sentence in self._faults if not again else ():
                log.error("configuration: %s", sentence, exc_info=not isinstance(fault, EdgemlError | OSError))
            if self._service is None:
                self._go_back(previous)
            if not isinstance(fault, OptionsError) and (self._service is None or getattr(self._make, "side_by_side", False)):
                self._raw = None
                self._reload_at = self._context.monotonic() + self._retry.next()

    def _leaving(self, raw: dict[str, Any]) -> bool:
        """Whether this component seems to be being removed: classic takes the whole configuration away, and then stops the process."""
        now = self._context.monotonic()
        if raw or self._service is None or not self._raw:
            self._gone_at = None
            return False
        if self._gone_at is None:
            self._gone_at = now
            log.info("the whole configuration is gone, as before a component is removed; what runs goes on for %g s", GONE_S)
        if now - self._gone_at >= GONE_S:
            return False
        self._reload_at = self._gone_at + GONE_S
        return True

    def _unreadable(self, fault: ConfigurationTooLarge) -> None:
        """As with a wrong configuration: it is said, and what worked goes on."""
        if self._unread != (str(fault),):
            self._unread, self._retry = (str(fault),), Backoff(RETRY_FIRST_S, RETRY_LONGEST_S)
            log.error("configuration: %s", fault)
            if self._service is None:
                self._go_back(None)
        self._reload_at = self._context.monotonic() + self._retry.next()

    def _go_back(self, previous: O | None) -> None:
        """Run with what worked last, in this process or an earlier one, if that still works."""
        try:
            if previous is None:
                messages, previous = self._settings.read(self._settings.last_good())
                self._seals.configure(messages)
            self._begin(previous)
            log.warning(
                "going on with the previous configuration; a key that a merge set by mistake goes by a reset, as `reset: [/policy/hold]`"
            )
        except FileNotFoundError:
            log.error("there is no configuration that worked before; waiting for a right one")
        except Exception as fault:
            self._guard("close", self._end)
            self._noise.warn(f"the previous configuration does not work either ({name(fault)}); waiting for a right one", "going back")

    def _end(self) -> None:
        service, self._service, self._current = self._service, None, None
        if service is not None:
            self._guard("close", service.close)
            for topic in (*service.topics, *service.cloud_topics):
                self._bus.unsubscribe(topic)

    def _begin(self, options: O, made: Service | None = None) -> None:
        service = self._make(self._context, options) if made is None else made
        self._service, self._current = service, options
        for topic in service.topics:
            self._bus.subscribe(topic)
        for topic in service.cloud_topics:
            self._bus.subscribe_cloud(topic)
        self._renewed = self._bus.renewed
        self._guard("start", service.start)

    def _report(self) -> None:
        status, vitals = Status(component=self._context.component, state="faulty"), Metrics()
        if self._service is not None:
            status = self._guard("status", self._service.status)
            if status is FAILED:
                status = Status(component=self._context.component, state="running")
            measured = self._guard("vitals", self._service.vitals)
            vitals = vitals if measured is FAILED else measured
        own = self._unread + self._faults + self._settings.faults + self._seals.faults(self._context.monotonic()) + self._noise.faults()
        faults = own + status.faults
        self._reporter.report(Status(component=status.component, state=status.state, faults=faults), vitals)


def _sentences(fault: Exception) -> tuple[str, ...]:
    if isinstance(fault, OptionsError):
        return tuple(fault.faults)
    if isinstance(fault, EdgemlError):
        return (str(fault),)
    return (f"the component cannot begin its work ({name(fault)}); it tries again, within a minute at the latest",)


class LogFormatter(logging.Formatter):
    """Log lines in which nothing moves a terminal's cursor or begins a line of its own: texts of messages get into them."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        return printable(super().formatException(ei), keep="\n")


def _no_try(record: logging.LogRecord) -> bool:
    return "connect failed" not in record.msg and "failed to establish" not in record.msg


def main(component: str, options: type[O], make: Callable[[ComponentContext, O], Service], argv: list[str] | None = None) -> int:
    """Run a component until it is told to stop; returns its exit code.

    Arguments of the command line: `--work DIR` (default: the current directory) and `--artifacts DIR`.
    """
    parser = argparse.ArgumentParser(prog=component)
    parser.add_argument("--work", type=Path, default=Path(), help="directory of its own that outlives restarts")
    parser.add_argument("--artifacts", type=Path, default=Path(), help="where the nucleus unpacked its artifacts")
    arguments = parser.parse_args(argv)
    os.umask(0o077)  # what a component writes is for its own user alone
    level = logging.getLevelName(os.environ.get("EDGEML_LOG_LEVEL", "INFO").upper())
    handler = logging.StreamHandler(sys.stdout)  # a nucleus logs what comes on standard error as warnings
    handler.setFormatter(LogFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level if isinstance(level, int) else logging.INFO, handlers=[handler])
    # The SDK calls each failed try to connect an error; `edgeml.ipc.connection` says it once.
    logging.getLogger("awsiot.eventstreamrpc").addFilter(_no_try)
    with contextlib.suppress(OSError):  # the loop tries it again, and says it
        arguments.work.mkdir(parents=True, exist_ok=True)
    bus = IpcBus(component)
    context = ComponentContext(bus, component, os.environ.get("AWS_IOT_THING_NAME", "unknown-thing"), arguments.work, arguments.artifacts)
    app = ServiceRunner(bus, context, options, make)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: app.stop())
    try:
        app.run()
    except RelaunchNeeded as fault:
        log.error("%s", fault)
        return RELAUNCH_EXIT
    return 0
