"""The interface between a component's service and the runner: what a service receives, provides and reports."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from edgeml.ipc.bus import Bus
from edgeml.messages import Message, Status


@dataclass(frozen=True)
class ComponentContext:
    """The environment of a service.

    Attributes:
        component: its full name.
        thing: the core device's thing name.
        work: the component's work directory, which persists across restarts.
        artifacts: the directory of its unpacked artifacts.
        monotonic: seconds, for deadlines and retries.
        wall_ns: nanoseconds since the epoch, for times that people read.
    """

    bus: Bus
    component: str
    thing: str
    work: Path
    artifacts: Path
    monotonic: Callable[[], float] = time.monotonic
    wall_ns: Callable[[], int] = time.time_ns


class UnscoredRows(NamedTuple):
    """Most of an asset's latest rows have no decision.

    Attributes:
        reason: the most frequent one.
        since: monotonic time of the first of them.
        rows: rows without a decision since then.
        share: of the latest rows, 0 to 1.
    """

    reason: str
    since: float
    rows: int
    share: float


@dataclass(frozen=True)
class Metrics:
    """The metrics of a service; see `edgeml.messages.Health` for the fields. A queue with the capacity 0 is unbounded."""

    lag_s: float | None = None
    queues: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    row_age_s: Mapping[str, float] = field(default_factory=dict)
    drops: Mapping[str, int] = field(default_factory=dict)
    unscored: Mapping[str, UnscoredRows] = field(default_factory=dict)


class Service(Protocol):
    """A component's work.

    Attributes:
        topics, cloud_topics: its subscriptions, local and in IoT Core. Constant during its lifetime.

    Optional attributes:

    - `side_by_side = True`: a new instance may be created while the old one runs, so that a configuration which the new one refuses leaves
      the old one untouched. Without it the old instance is closed first, because both would need the same file or device.
    - `echo_topics`: those of its `cloud_topics` whose payloads go undecoded to `on_echo(payload)`.
    - `timed = True`: local messages go to `on_message(topic, message, sent_at)`, with the monotonic time at which the message was sent, as
      far as it is known, instead of that at which it is handled.
    - `takes_payload = True`: messages go to `on_message(topic, message, payload)`, with the encoded message without its signature.
    """

    topics: tuple[str, ...]
    cloud_topics: tuple[str, ...]

    def start(self) -> None:
        """Called when its subscriptions are open, and again after they were renewed (messages may have been missed)."""

    def on_message(self, topic: str, message: Message) -> None: ...

    def tick(self, now: float) -> float:
        """Do everything that is due at the monotonic time `now`; returns the maximum seconds until the next tick."""
        ...

    def status(self) -> Status: ...

    def metrics(self) -> Metrics: ...

    def close(self) -> None: ...
