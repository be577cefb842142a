"""Runs a component: one loop in one thread around a service.

A component's `__main__` is `sys.exit(app.main("com.edgeml.X", Options, Service))`. The service is built anew when the
configuration changes; what it must remember is on disk or comes back by a replay.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from edgeml import topics
from edgeml.bus import Bus, IpcBus, Received, RelaunchNeeded
from edgeml.errors import BusError, EdgemlError, MessageError, OptionsError
from edgeml.guard import Guard
from edgeml.messagekey import MessageOptions
from edgeml.messages import Message, Status, decode, encode
from edgeml.options import read

log = logging.getLogger("edgeml")

RELAUNCH_EXIT = 75
"""Exit code of a component that only its nucleus can help, by launching it anew."""
SETTLE_S = 0.3
"""Configuration changes come leaf by leaf on Lite; they are read once nothing has come for this long."""
CONFIGURATION_S = 2.0
"""For how long reading the configuration is tried at once; then again after as long."""
STATUS_S = 10.0
"""The status is published at each change, and again after this long for who listens later."""
LAST_GOOD = "last-good-configuration.json"
"""In the work directory: Lite restarts a component at each change of its configuration, so the one that worked outlives the process."""
REPEAT_S = 60.0
"""A fault of the same kind on the same topic is logged again after this long."""


@dataclass(frozen=True)
class Context:
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

    def close(self) -> None: ...


O = TypeVar("O")  # noqa: E741


class App(Generic[O]):
    """The loop. Use `main`; this class is for tests that bring their own bus.

    Args:
        make: builds the service from the context and its options; raises EdgemlError for what a person must mend.
    """

    def __init__(self, bus: IpcBus, context: Context, options: type[O], make: Callable[[Context, O], Service]) -> None:
        self._bus, self._context, self._options, self._make = bus, context, options, make
        self._seals = bus.guard = bus.guard or Guard(context.component, context.work)
        self._service: Service | None = None
        self._current: O | None = None
        self._raw: dict[str, Any] | None = None
        self._faults: tuple[str, ...] = ()
        self._status: Status | None = None
        self._status_at = 0.0
        self._reload_at: float | None = None
        self._renewed = 0
        self._stopping = False
        self._noise = Noise(context.monotonic)

    def stop(self) -> None:
        """Ask the loop to end; for a signal handler."""
        self._stopping = self._bus.hurry = True

    def run(self) -> None:
        """Until `stop`.

        Raises:
            RelaunchNeeded: see `edgeml.bus`.
        """
        self._bus.watch_configuration()
        self._bus.start_heartbeat()
        self._reload()
        try:
            while not self._stopping:
                self._step()
        finally:
            self._end()
            self._bus.close()

    def _step(self) -> None:
        now = self._context.monotonic()
        if self._reload_at is not None and now >= self._reload_at:
            self._reload_at = None
            self._reload()
        self._seals.tick(now)
        for sentence, kind in self._seals.news():
            self._noise.warn(sentence, kind)
        wait = 1.0
        if self._service is not None:
            if self._bus.renewed != self._renewed:
                self._renewed = self._bus.renewed
                self._guard("start", self._service.start)
            wait = min(wait, self._guard("tick", lambda: self._service.tick(now)) or 0.0)  # type: ignore[union-attr]
        self._report()
        received = self._bus.receive(wait if self._reload_at is None else min(wait, SETTLE_S))
        if received is not None:
            self._take(received)

    def _take(self, received: Received) -> None:
        if received.kind == "configuration":
            self._reload_at = self._context.monotonic() + SETTLE_S
            return
        try:
            message = decode(received.payload)
        except MessageError as fault:
            self._noise.warn(f"{received.topic}: {fault}", f"{received.topic} {type(fault).__name__}")
            return
        if self._service is not None:
            service = self._service
            self._guard(received.topic, lambda: service.on_message(received.topic, message))

    def _guard(self, where: str, work: Callable[[], Any]) -> Any:
        # A fault in the work on one message or tick must not end the component: that would spend one of the nucleus's three errors.
        try:
            return work()
        except RelaunchNeeded:
            raise
        except EdgemlError as fault:
            self._noise.warn(f"{where}: {fault}", where)
        except Exception:
            self._noise.warn(f"{where}: an unexpected error; this message or step is skipped", where, trace=True)
        return 1.0

    def _reload(self) -> None:
        """Read the configuration; build the service anew if it changed. A wrong one leaves a running service as it is."""
        try:
            raw = self._bus.configuration(CONFIGURATION_S)
        except RelaunchNeeded:
            raise
        except BusError as fault:
            self._noise.warn(str(fault), "configuration")
            self._reload_at = self._context.monotonic() + CONFIGURATION_S
            return
        raw = {key: value for key, value in raw.items() if key != "accessControl"}
        if raw == self._raw:
            return
        self._raw = raw
        self._faults = ()
        previous = self._current
        try:
            messages, options = self._read(raw)
            fresh = self._make(self._context, options) if getattr(self._make, "side_by_side", False) else None
            self._end()
            self._seals.configure(messages)
            self._begin(options, fresh)
            self._remember(raw)
        except EdgemlError as fault:
            self._faults = tuple(fault.faults if isinstance(fault, OptionsError) else [str(fault)])
            for sentence in self._faults:
                log.error("configuration: %s", sentence)
            if self._service is None:
                self._go_back(previous)

    def _read(self, raw: dict[str, Any]) -> tuple[MessageOptions, O]:
        """The options that every component has, and the service's own; raises OptionsError with every fault of both."""
        common, own, faults = MessageOptions(), None, []
        try:
            common = read(MessageOptions, raw.get("messages"), "messages")
        except OptionsError as wrong:
            faults += wrong.faults
        try:
            own = read(self._options, {key: value for key, value in raw.items() if key != "messages"})
        except OptionsError as wrong:
            faults += wrong.faults
        if own is None or faults:
            raise OptionsError(faults)
        return common, own

    def _go_back(self, previous: O | None) -> None:
        """Run with what worked last, in this process or an earlier one, if that still works."""
        try:
            if previous is None:
                messages, previous = self._read(json.loads((self._context.work / LAST_GOOD).read_text()))
                self._seals.configure(messages)
            self._begin(previous)
            log.warning("going on with the previous configuration")
        except FileNotFoundError:
            log.error("there is no configuration that worked before; waiting for a right one")
        except (EdgemlError, OSError, ValueError) as fault:
            log.error("the previous configuration does not work either (%s); waiting for a right one", fault)

    def _remember(self, raw: dict[str, Any]) -> None:
        path = self._context.work / LAST_GOOD
        fresh = path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(raw))
            fresh.replace(path)
        except OSError as fault:
            log.warning("%s cannot be written (%s); after a restart a wrong configuration finds nothing to go back to", path, fault)

    def _end(self) -> None:
        service, self._service, self._current = self._service, None, None
        if service is not None:
            service.close()
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
        now = self._context.monotonic()
        faults = self._faults + self._seals.faults(now)
        status = Status(component=self._context.component, state="faulty", faults=faults)
        if self._service is not None:
            own = self._service.status()
            status = Status(component=own.component, state=own.state, faults=faults + own.faults)
        if status != self._status or now - self._status_at >= STATUS_S:
            self._status, self._status_at = status, now
            self._bus.publish(topics.STATUS, encode(status))


class Noise:
    """Logs a fault of one kind once, then at most once in `REPEAT_S`, with the number of repeats in between."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._logged: dict[str, float] = {}
        self._count: Counter[str] = Counter()

    def warn(self, text: str, kind: str, trace: bool = False) -> None:
        self._count[kind] += 1
        now = self._monotonic()
        if now - self._logged.get(kind, -REPEAT_S) < REPEAT_S:
            return
        self._logged[kind] = now
        repeats = f" ({self._count[kind]} times so far)" if self._count[kind] > 1 else ""
        log.warning("%s%s", text, repeats, exc_info=trace)


def main(component: str, options: type[O], make: Callable[[Context, O], Service], argv: list[str] | None = None) -> int:
    """Run a component until it is told to stop; returns its exit code.

    Arguments of the command line: `--work DIR` (default: the current directory) and `--artifacts DIR`.
    """
    parser = argparse.ArgumentParser(prog=component)
    parser.add_argument("--work", type=Path, default=Path(), help="directory of its own that outlives restarts")
    parser.add_argument("--artifacts", type=Path, default=Path(), help="where the nucleus unpacked its artifacts")
    arguments = parser.parse_args(argv)
    os.umask(0o077)  # what a component writes is for its own user alone
    logging.basicConfig(
        # A nucleus logs what comes on standard error as warnings.
        stream=sys.stdout, level=os.environ.get("EDGEML_LOG_LEVEL", "INFO").upper(), format="%(levelname)s %(name)s: %(message)s",
    )
    arguments.work.mkdir(parents=True, exist_ok=True)
    bus = IpcBus(component)
    context = Context(bus, component, os.environ.get("AWS_IOT_THING_NAME", "unknown-thing"), arguments.work, arguments.artifacts)
    app = App(bus, context, options, make)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: app.stop())
    try:
        app.run()
    except RelaunchNeeded as fault:
        log.error("%s", fault)
        return RELAUNCH_EXIT
    return 0
