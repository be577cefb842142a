"""The interface of an action, and its context."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from alert_dispatcher.state_db import PendingAlert, StateDb
from edgeml.cloud.outbox import Outbox
from edgeml.ipc.bus import Bus
from edgeml.messages import Message

IDLE_S = 60.0
"""Returned by `tick` when nothing is due."""


@dataclass(frozen=True)
class ActionContext:
    """The parts of the component that an action may use.

    Attributes:
        outbox: takes messages for IoT Core.
        monotonic, wall_ns: the clocks, in seconds and in nanoseconds since the epoch.
        add_note: called with an alarm's id and a sentence for its alerts from now on.
        receive_waiting: called with local topics; handles the messages that already wait there.
    """

    bus: Bus
    store: StateDb
    outbox: Outbox
    thing: str
    monotonic: Callable[[], float]
    wall_ns: Callable[[], int]
    add_note: Callable[[str, str], None]
    receive_waiting: Callable[[Sequence[str]], None]


class ActionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of every action; a device's merge cannot remove an action that the recipe names."""

    enabled: Annotated[bool, Meta(description="whether it acts")] = True


class Action(ABC):
    """Acts on the changes of alarms.

    Attributes:
        topics: local topics that the action subscribes to.
        local: the action stays on this device, and so runs before those that need a network.
    """

    topics: tuple[str, ...] = ()
    local = False

    @abstractmethod
    def act(self, pending: PendingAlert) -> None:
        """Act on a change of an alarm. Called at least once for each change, in order, inside a transaction of the store.

        Must not publish: save or queue messages here, and send them in `tick`.
        """

    def on_message(self, topic: str, message: Message, sent_at: float) -> None:  # noqa: B027, most actions subscribe to nothing
        """A message on one of `topics`, sent at the monotonic time `sent_at`."""

    def tick(self, now: float) -> float:
        """Do what is due at the monotonic time `now`; returns the seconds until the next call at the latest.

        Work that `act` has just saved is due, although the clock has passed `now` meanwhile.
        """
        return IDLE_S

    def close(self) -> None:  # noqa: B027, most actions hold nothing
        """The component ends, or its configuration changes."""
