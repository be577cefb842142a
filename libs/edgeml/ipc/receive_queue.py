"""What has come in and is not taken yet: in order, and bounded topic by topic.

Each topic has room of its own, so that a flood on one pushes out nothing of another. Where it is full, of `topics.STREAMS` and
`topics.REPEATED` the oldest goes, because the newest matters most and the rest is to be had again; of all others, such as alerts,
commands and acknowledgements, what waits is never given up, and the newest is not taken.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque

from edgeml.ipc.sdk_adapter import UNTOLD, Received
from edgeml.messages import topics

OLDEST_GOES = frozenset((*topics.STREAMS, *topics.REPEATED))
RARE = 4
"""A topic that is no stream of blocks has a fourth of the room."""


class ReceiveQueue:
    """Filled by threads of the SDK, emptied by the component's.

    Args:
        most: blocks of a topic that may wait.

    Attributes:
        dropped: by topic, what was given up or not taken.
    """

    def __init__(self, most: int = 2000) -> None:
        self.most = most
        self.dropped: Counter[str] = Counter()
        self._lanes: dict[str, deque[tuple[int, Received]]] = {}
        self._count = 0
        self._filled = threading.Condition()

    def __len__(self) -> int:
        return sum(len(lane) for lane in list(self._lanes.values()))

    def put(self, item: Received) -> None:
        """Never waits, but for the other side's few instructions."""
        with self._filled:
            lane = self._lanes.setdefault(item.topic or item.kind, deque())
            if item.kind == "configuration" and lane:
                # Whoever takes the one that waits reads everything; that somebody told is the better reason.
                if item.payload == UNTOLD:
                    return
                lane.clear()
            if len(lane) >= (self.most if item.topic in topics.STREAMS else max(1, self.most // RARE)):
                self.dropped[item.topic] += 1
                if item.topic not in OLDEST_GOES:
                    return
                lane.popleft()
            self._count += 1
            lane.append((self._count, item))
            self._filled.notify()

    def take(self, topic: str) -> Received | None:
        """The oldest of one topic, or None; those that came before it on other topics keep waiting."""
        with self._filled:
            lane = self._lanes.get(topic)
            return lane.popleft()[1] if lane else None

    def get(self, timeout: float) -> Received | None:
        """The oldest of all, or None after `timeout` seconds."""
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
