"""What an action is, and what it gets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from alert_dispatcher.state_db import StateDb
from edgeml.cloud.outbox import Outbox
from edgeml.ipc.bus import Bus
from edgeml.messages import Alert, Message

IDLE_S = 60.0
"""What `tick` returns when nothing is due."""


@dataclass(frozen=True)
class ActionContext:
    """What an action may use.

    Attributes:
        outbox: where a message for IoT Core is put.
        monotonic, wall_ns: the clocks, in seconds and in nanoseconds since the epoch.
        note: called with an alarm's id and a sentence that its alerts are to carry from now on.
        catch_up: called with local topics: what waits on them has its turn at once.
    """

    bus: Bus
    store: StateDb
    outbox: Outbox
    thing: str
    monotonic: Callable[[], float]
    wall_ns: Callable[[], int]
    note: Callable[[str, str], None]
    catch_up: Callable[[Sequence[str]], None]


class ActionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What every action has; a device's merge cannot remove one that the recipe names."""

    enabled: Annotated[bool, Meta(description="whether it acts")] = True


class Action(ABC):
    """Does something about an alarm.

    Attributes:
        topics: local topics whose messages it wants.
        local: it stays on this device, and so goes before what needs a network.
    """

    topics: tuple[str, ...] = ()
    local = False

    @abstractmethod
    def act(self, alert: Alert, decided_ns: int) -> None:
        """An alarm has changed. Called at least once for each change, in order, inside a transaction of the store.

        Must not publish: what is to be sent is written down or queued here, and sent in `tick`.

        Args:
            decided_ns: wall-clock time of the decision, which may have been before a restart.
        """

    def on_message(self, topic: str, message: Message, sent_at: float) -> None:  # noqa: B027, most actions want no messages
        """A message on one of `topics`, sent at the monotonic time `sent_at`."""

    def tick(self, now: float) -> float:
        """Do what is due at the monotonic time `now`; returns how many seconds from now to be called again at the latest.

        What `act` has just written down is due, although the clock has gone on past `now` meanwhile.
        """
        return IDLE_S

    def close(self) -> None:  # noqa: B027, most actions hold nothing
        """The component ends, or its configuration changes."""
