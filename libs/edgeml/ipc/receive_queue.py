"""Received items that wait for the component: in order, and bounded per topic.

Each topic has its own capacity, so that a flood on one displaces nothing of another. If a topic is full, its oldest item is dropped on
`topics.STREAMS` and `topics.REPEATED`, because the newest matters most and the rest can be replayed or is repeated. On all other topics,
such as alerts, commands and acknowledgements, waiting items are never dropped, and the new item is rejected.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque

from edgeml.ipc.sdk_adapter import POLLED, Received
from edgeml.messages import topics

DROP_OLDEST = frozenset((*topics.STREAMS, *topics.REPEATED))
OTHER_SHARE = 4
"""A topic that is no stream of blocks has a fourth of the capacity."""


class ReceiveQueue:
    """Filled by threads of the SDK, emptied by the component's.

    Args:
        capacity: maximum number of waiting blocks per topic.

    Attributes:
        dropped: number of items dropped or rejected, by topic.
    """

    def __init__(self, capacity: int = 2000) -> None:
        self.capacity = capacity
        self.dropped: Counter[str] = Counter()
        self._lanes: dict[str, deque[tuple[int, Received]]] = {}
        self._count = 0
        self._filled = threading.Condition()

    def __len__(self) -> int:
        return sum(len(lane) for lane in list(self._lanes.values()))

    def put(self, item: Received) -> None:
        """Append an item, without waiting for the consumer."""
        with self._filled:
            lane = self._lanes.setdefault(item.topic or item.kind, deque())
            if item.kind == "configuration" and lane:
                # One item suffices to read everything; an event is a better reason than a poll.
                if item.payload == POLLED:
                    return
                lane.clear()
            if len(lane) >= (self.capacity if item.topic in topics.STREAMS else max(1, self.capacity // OTHER_SHARE)):
                self.dropped[item.topic] += 1
                if item.topic not in DROP_OLDEST:
                    return
                lane.popleft()
            self._count += 1
            lane.append((self._count, item))
            self._filled.notify()

    def take(self, topic: str) -> Received | None:
        """Remove the oldest item of one topic, or return None; older items of other topics keep waiting."""
        with self._filled:
            lane = self._lanes.get(topic)
            return lane.popleft()[1] if lane else None

    def get(self, timeout: float) -> Received | None:
        """Remove the oldest item, or return None after `timeout` seconds."""
        give_up = time.monotonic() + timeout
        with self._filled:
            while True:
                lanes = [lane for lane in self._lanes.values() if lane]
                if lanes:
                    return min(lanes, key=lambda lane: lane[0][0]).popleft()[1]
                left = give_up - time.monotonic()
                if left <= 0:
                    return None
                self._filled.wait(left)
