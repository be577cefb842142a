"""Numbered streams: a loss is seen and asked for, a repetition is not taken twice, in any order of events."""

from __future__ import annotations

import random

from edgeml.messages import KeepAlive, Replay, Replaying, decode
from edgeml.streams import History, Pulse, Receiver
from edgeml.times import SECOND


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def make(patience_s: float = 2.0) -> tuple[Receiver, list[Replay], Clock]:
    asked: list[Replay] = []
    clock = Clock()
    return Receiver("edgeml/sensors", asked.append, clock, patience_s), asked, clock


def test_messages_in_order_are_taken_once():
    receiver, asked, _ = make()
    assert [receiver.accept("p", "s", seq, seq) for seq in (0, 1, 1, 0, 2)] == [True, True, False, False, True]
    assert (receiver.lost, receiver.repeated, asked) == (0, 2, [])


def test_a_gap_is_asked_for_once_and_filled_by_the_replay():
    receiver, asked, _ = make()
    receiver.accept("p", "s", 0, 100)
    assert not receiver.accept("p", "s", 2, 300)
    assert not receiver.accept("p", "s", 3, 400)
    assert asked == [Replay(topic="edgeml/sensors", asset="p", since=100)]
    receiver.replaying(Replaying(asset="p", stream="s", first=1))
    assert [receiver.accept("p", "s", seq, seq) for seq in (1, 2, 3)] == [True, True, True]
    assert receiver.lost == 0


def test_what_the_producer_no_longer_has_is_counted_as_lost():
    receiver, _, _ = make()
    receiver.accept("p", "s", 0, 100)
    receiver.accept("p", "s", 5, 600)
    receiver.replaying(Replaying(asset="p", stream="s", first=4))
    assert receiver.accept("p", "s", 4, 500)
    assert receiver.lost == 3


def test_a_producer_that_does_not_hear_is_asked_again_and_not_waited_for_for_ever():
    receiver, asked, clock = make(patience_s=2.0)
    receiver.accept("p", "s", 0, 100)
    for clock.now in (0.0, 1.0, 2.0, 3.0, 4.0, 14.9):
        assert not receiver.accept("p", "s", 3, 400)
    assert asked == [Replay(topic="edgeml/sensors", asset="p", since=100)] * 4
    clock.now = 15.0
    assert receiver.accept("p", "s", 4, 500)
    assert receiver.lost == 3


def test_a_producer_that_hears_again_after_ten_seconds_loses_nothing():
    receiver, asked, clock = make(patience_s=2.0)
    receiver.accept("p", "s", 0, 100)
    for clock.now in range(10):
        assert not receiver.accept("p", "s", 3 + clock.now, 400)
    receiver.replaying(Replaying(asset="p", stream="s", first=1))
    assert all(receiver.accept("p", "s", seq, seq) for seq in range(1, 13))
    assert receiver.lost == 0 and len(asked) == 5


def test_a_consumer_that_joins_late_asks_for_the_history_and_counts_no_loss():
    receiver, asked, _ = make()
    receiver.ask_again()
    assert asked == [Replay(topic="edgeml/sensors")]
    assert not receiver.accept("p", "s", 50, 5000)
    receiver.replaying(Replaying(asset="p", stream="s", first=40))
    assert all(receiver.accept("p", "s", seq, seq) for seq in range(40, 51))
    assert receiver.lost == 0


def test_a_new_stream_begins_anew():
    receiver, _, _ = make()
    receiver.accept("p", "s", 0, 100)
    assert receiver.accept("p", "other", 0, 200)
    assert receiver.lost == 0


def test_after_a_renewal_only_what_is_newer_is_asked_for():
    receiver, asked, _ = make()
    receiver.accept("p", "s", 0, 100)
    receiver.ask_again()
    assert asked[-1] == Replay(topic="edgeml/sensors", asset="p", since=100)


def test_a_keep_alive_shows_the_loss_of_a_last_message_and_is_asked_for_until_it_comes():
    receiver, asked, clock = make(patience_s=2.0)
    receiver.accept("p", "s", 0, 100)
    receiver.keep_alive(KeepAlive(asset="p", stream="s", seq=0))
    assert asked == []  # quiet, nothing is missing
    for clock.now in (0.0, 1.0, 2.0):
        receiver.keep_alive(KeepAlive(asset="p", stream="s", seq=1))
    assert asked == [Replay(topic="edgeml/sensors", asset="p", since=100)] * 2
    receiver.replaying(Replaying(asset="p", stream="s", first=1))
    assert receiver.accept("p", "s", 1, 200)
    receiver.keep_alive(KeepAlive(asset="p", stream="s", seq=1))
    assert len(asked) == 2 and receiver.lost == 0


def test_a_keep_alive_of_an_unknown_stream_is_a_history_to_ask_for():
    receiver, asked, _ = make()
    receiver.keep_alive(KeepAlive(asset="", stream="s", seq=-1))
    receiver.keep_alive(KeepAlive(asset="p", stream="s", seq=-1))
    assert asked == []
    receiver.keep_alive(KeepAlive(asset="p", stream="s", seq=7))
    assert asked == [Replay(topic="edgeml/sensors", asset="p")]
    receiver.replaying(Replaying(asset="p", stream="s", first=5))
    assert [receiver.accept("p", "s", seq, seq) for seq in (5, 6, 7)] == [True, True, True]
    assert receiver.lost == 0


def test_a_keep_alive_goes_only_when_nothing_else_went():
    said: list[bytes] = []
    pulse = Pulse(said.append, every_s=2.0)
    pulse.tick(0.0, "s", "p", 1)  # a message went
    pulse.tick(1.5, "s", "p", 2)  # and another
    assert pulse.tick(3.0, "s", "p", 2) == 0.5 and said == []
    pulse.tick(3.5, "s", "p", 2)
    pulse.tick(4.0, "s", "p", 2)
    pulse.tick(5.5, "s", "p", 2)
    pulse.tick(5.5, "s")  # one that has no asset yet is alive too
    keep_alive = KeepAlive(asset="p", stream="s", seq=1)
    assert [decode(message) for message in said] == [keep_alive, keep_alive, KeepAlive(asset="", stream="s", seq=-1)]


def test_history_keeps_by_event_time_and_by_size():
    history = History("p", "s", keep_s=10, keep_bytes=500)
    for second in range(100):
        history.add(second * SECOND, b"x" * 10)
    messages = list(history.replay(0))
    assert decode(messages[0]) == Replaying(asset="p", stream="s", first=89)
    assert len(messages) == 1 + 11
    history.add(100 * SECOND, b"x" * 495)
    assert len(list(history.replay(0))) == 1 + 1


def test_an_empty_history_says_so():
    history = History("p", "s")
    history.add(5, b"x")
    assert [decode(message) for message in history.replay(5)] == [Replaying(asset="p", stream="s", first=1)]


def test_whatever_is_dropped_on_the_way_all_arrives_in_order():
    chance = random.Random(3)
    for _ in range(200):
        history = History("p", "s")
        taken: list[int] = []
        channel: list[tuple[str, int]] = []

        def ask(replay: Replay, history: History = history, channel: list[tuple[str, int]] = channel) -> None:
            first, *rest = history.replay(replay.since)
            start = decode(first).first  # type: ignore[attr-defined]
            channel.append(("replaying", start))
            channel.extend(("message", start + i) for i in range(len(rest)))

        receiver = Receiver("edgeml/sensors", ask, lambda: 0.0)
        for seq in range(30):
            history.add(seq + 1, b"")
            if chance.random() < 0.7 or seq == 29:
                channel.append(("message", seq))
            while channel and chance.random() < 0.8:
                _deliver(receiver, taken, *channel.pop(0))
        while channel:
            _deliver(receiver, taken, *channel.pop(0))
        assert taken == list(range(30))
        assert receiver.lost == 0


def _deliver(receiver: Receiver, taken: list[int], kind: str, number: int) -> None:
    if kind == "replaying":
        receiver.replaying(Replaying(asset="p", stream="s", first=number))
    elif receiver.accept("p", "s", number, number + 1):
        taken.append(number)
