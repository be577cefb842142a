"""What waits is bounded; what is given up is what can be had again."""

from __future__ import annotations

import threading
import time

import pytest

from edgeml.ipc.receive_queue import ReceiveQueue
from edgeml.ipc.sdk_adapter import Received
from edgeml.messages import topics


def item(topic: str, number: int) -> Received:
    return Received("local", topic, bytes([number]))


def taken(inbox: ReceiveQueue) -> list[tuple[str, int]]:
    found = []
    while (received := inbox.get(0.0)) is not None:
        found.append((received.topic, received.payload[0]))
    return found


def test_all_come_in_the_order_in_which_they_came():
    inbox = ReceiveQueue()
    for number, topic in enumerate((topics.ALERTS, topics.SENSORS, topics.COMMANDS, topics.SENSORS)):
        inbox.put(item(topic, number))
    assert len(inbox) == 4
    assert taken(inbox) == [(topics.ALERTS, 0), (topics.SENSORS, 1), (topics.COMMANDS, 2), (topics.SENSORS, 3)]


def test_one_topic_can_be_taken_before_its_turn():
    inbox = ReceiveQueue()
    for number, topic in enumerate((topics.SENSORS, topics.INTERLOCK, topics.SENSORS, topics.INTERLOCK)):
        inbox.put(item(topic, number))
    assert [inbox.take(topics.INTERLOCK) for _ in range(3)] == [item(topics.INTERLOCK, 1), item(topics.INTERLOCK, 3), None]
    assert inbox.take(topics.ALERTS) is None and taken(inbox) == [(topics.SENSORS, 0), (topics.SENSORS, 2)]


def test_of_permits_the_newest_is_kept_as_it_may_be_a_denial():
    inbox = ReceiveQueue(8)
    for number in range(5):
        inbox.put(item(topics.INTERLOCK, number))
    assert taken(inbox) == [(topics.INTERLOCK, 3), (topics.INTERLOCK, 4)]


@pytest.mark.parametrize("topic", [*topics.STREAMS, *topics.REPEATED])
def test_of_what_can_be_had_again_the_oldest_goes(topic):
    inbox = ReceiveQueue(8)
    room = 8 if topic in topics.STREAMS else 2
    for number in range(10):
        inbox.put(item(topic, number))
    assert taken(inbox) == [(topic, number) for number in range(10 - room, 10)]
    assert inbox.dropped == {topic: 10 - room}


@pytest.mark.parametrize("topic", [topics.ALERTS, topics.ALERTS_ACK, topics.COMMANDS, topics.COMMANDS_ACK, topics.COMMANDS_RELEASE])
def test_an_alert_a_command_or_an_acknowledgement_that_waits_is_never_given_up(topic):
    inbox = ReceiveQueue(8)
    inbox.put(item(topic, 0))
    for flooded in (topics.SENSORS, topics.STATUS, topic):
        for number in range(1, 50):
            inbox.put(item(flooded, number))
    assert taken(inbox)[0] == (topic, 0)
    assert inbox.dropped == {topics.SENSORS: 41, topics.STATUS: 47, topic: 48}


def test_one_word_of_a_changed_configuration_is_enough():
    inbox = ReceiveQueue()
    for _ in range(5):
        inbox.put(Received("configuration"))
    assert inbox.get(0.0) == Received("configuration") and inbox.get(0.0) is None


def test_who_waits_is_woken():
    inbox = ReceiveQueue()
    threading.Timer(0.05, inbox.put, [item(topics.ALERTS, 1)]).start()
    begun = time.monotonic()
    assert inbox.get(5.0) == item(topics.ALERTS, 1)
    assert time.monotonic() - begun < 2
