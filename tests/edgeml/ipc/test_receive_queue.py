"""The queue is bounded, and drops only messages that are repeated or can be replayed."""

from __future__ import annotations

import threading
import time

import pytest

from edgeml.ipc.receive_queue import ReceiveQueue
from edgeml.ipc.sdk_adapter import Received
from edgeml.messages import topics


def item(topic: str, number: int) -> Received:
    return Received("local", topic, bytes([number]))


def taken(queue: ReceiveQueue) -> list[tuple[str, int]]:
    found = []
    while (received := queue.get(0.0)) is not None:
        found.append((received.topic, received.payload[0]))
    return found


def test_items_keep_their_order():
    queue = ReceiveQueue()
    for number, topic in enumerate((topics.ALERTS, topics.SENSORS, topics.COMMANDS, topics.SENSORS)):
        queue.put(item(topic, number))
    assert len(queue) == 4
    assert taken(queue) == [(topics.ALERTS, 0), (topics.SENSORS, 1), (topics.COMMANDS, 2), (topics.SENSORS, 3)]


def test_one_topic_can_be_taken_out_of_turn():
    queue = ReceiveQueue()
    for number, topic in enumerate((topics.SENSORS, topics.INTERLOCK, topics.SENSORS, topics.INTERLOCK)):
        queue.put(item(topic, number))
    assert [queue.take(topics.INTERLOCK) for _ in range(3)] == [item(topics.INTERLOCK, 1), item(topics.INTERLOCK, 3), None]
    assert queue.take(topics.ALERTS) is None and taken(queue) == [(topics.SENSORS, 0), (topics.SENSORS, 2)]


def test_newest_permit_is_kept_because_it_may_be_a_denial():
    queue = ReceiveQueue(8)
    for number in range(5):
        queue.put(item(topics.INTERLOCK, number))
    assert taken(queue) == [(topics.INTERLOCK, 3), (topics.INTERLOCK, 4)]


@pytest.mark.parametrize("topic", [*topics.STREAMS, *topics.REPEATED])
def test_oldest_item_of_a_repeated_topic_is_dropped(topic):
    queue = ReceiveQueue(8)
    room = 8 if topic in topics.STREAMS else 2
    for number in range(10):
        queue.put(item(topic, number))
    assert taken(queue) == [(topic, number) for number in range(10 - room, 10)]
    assert queue.dropped == {topic: 10 - room}


@pytest.mark.parametrize("topic", [topics.ALERTS, topics.ALERTS_ACK, topics.COMMANDS, topics.COMMANDS_ACK, topics.COMMANDS_RELEASE])
def test_waiting_event_is_never_dropped(topic):
    queue = ReceiveQueue(8)
    queue.put(item(topic, 0))
    for flooded in (topics.SENSORS, topics.STATUS, topic):
        for number in range(1, 50):
            queue.put(item(flooded, number))
    assert taken(queue)[0] == (topic, 0)
    assert queue.dropped == {topics.SENSORS: 41, topics.STATUS: 47, topic: 48}


def test_configuration_changes_are_merged():
    queue = ReceiveQueue()
    for _ in range(5):
        queue.put(Received("configuration"))
    assert queue.get(0.0) == Received("configuration") and queue.get(0.0) is None


def test_waiting_consumer_wakes_up():
    queue = ReceiveQueue()
    threading.Timer(0.05, queue.put, [item(topics.ALERTS, 1)]).start()
    begun = time.monotonic()
    assert queue.get(5.0) == item(topics.ALERTS, 1)
    assert time.monotonic() - begun < 2
