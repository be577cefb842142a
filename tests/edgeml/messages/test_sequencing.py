"""Numbered streams: losses are detected and requested, and repetitions ignored, in any order of events."""

from __future__ import annotations

import random
from typing import Any

from edgeml.messages import KeepAlive, ReplayRequest, ReplayStart, decode, encode
from edgeml.messages.sequencing import KeepAliveTimer, ReplayBuffer, SequenceTracker
from edgeml.timestamps import SECOND


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def make(patience_s: float = 2.0) -> tuple[SequenceTracker, list[ReplayRequest], Clock]:
    requests: list[ReplayRequest] = []
    clock = Clock()
    return SequenceTracker("edgeml/sensors", requests.append, clock, patience_s), requests, clock


def request(**fields: Any) -> ReplayRequest:
    """The replay request of a receiver for one asset."""
    return ReplayRequest(topic="edgeml/sensors", asset="p", max_messages=SequenceTracker.MAX_PER_ASSET, **fields)


def test_messages_in_order_are_accepted_once():
    receiver, requests, _ = make()
    assert [receiver.accept("p", "s", seq, seq) for seq in (0, 1, 1, 0, 2)] == [True, True, False, False, True]
    assert (receiver.lost, receiver.repeated, requests) == (0, 2, [])


def test_gap_is_requested_once_and_filled_by_the_replay():
    receiver, requests, _ = make()
    receiver.accept("p", "s", 0, 100)
    assert not receiver.accept("p", "s", 2, 300)
    assert not receiver.accept("p", "s", 3, 400)
    assert requests == [request(since=100, stream="s", next_seq=1)]
    receiver.on_replay_start(ReplayStart(asset="p", stream="s", first=1))
    assert [receiver.accept("p", "s", seq, seq) for seq in (1, 2, 3)] == [True, True, True]
    assert receiver.lost == 0


def test_message_outside_the_replay_buffer_is_counted_as_lost():
    receiver, _, _ = make()
    receiver.accept("p", "s", 0, 100)
    receiver.accept("p", "s", 5, 600)
    receiver.on_replay_start(ReplayStart(asset="p", stream="s", first=4))
    assert receiver.accept("p", "s", 4, 500)
    assert receiver.lost == 3


def test_unanswered_replay_request_is_repeated_and_given_up():
    receiver, requests, clock = make(patience_s=2.0)
    receiver.accept("p", "s", 0, 100)
    for clock.now in (0.0, 1.0, 2.0, 3.0, 4.0, 14.9):
        assert not receiver.accept("p", "s", 3, 400)
    assert requests == [request(since=100, stream="s", next_seq=1)] * 4
    clock.now = 15.0
    assert receiver.accept("p", "s", 4, 500)
    assert receiver.lost == 3


def test_producer_that_answers_after_ten_seconds_loses_nothing():
    receiver, requests, clock = make(patience_s=2.0)
    receiver.accept("p", "s", 0, 100)
    for clock.now in range(10):
        assert not receiver.accept("p", "s", 3 + clock.now, 400)
    receiver.on_replay_start(ReplayStart(asset="p", stream="s", first=1))
    assert all(receiver.accept("p", "s", seq, seq) for seq in range(1, 13))
    assert receiver.lost == 0 and len(requests) == 5


def test_late_consumer_requests_the_replay_buffer_and_counts_no_loss():
    receiver, requests, _ = make()
    receiver.query()
    assert requests == [ReplayRequest(topic="edgeml/sensors", max_messages=0)]
    assert not receiver.accept("p", "s", 50, 5000)
    assert requests[1:] == [request(since=0, stream="", next_seq=0)]
    receiver.on_replay_start(ReplayStart(asset="p", stream="s", first=40))
    assert all(receiver.accept("p", "s", seq, seq) for seq in range(40, 51))
    assert receiver.lost == 0


def test_new_stream_restarts_the_sequence():
    receiver, _, _ = make()
    receiver.accept("p", "s", 0, 100)
    assert receiver.accept("p", "other", 0, 200)
    assert receiver.lost == 0


def test_resubscribed_consumer_requests_newer_messages_only():
    receiver, requests, _ = make()
    receiver.accept("p", "s", 0, 100)
    receiver.query()
    assert requests == [ReplayRequest(topic="edgeml/sensors", since=100, max_messages=0)]
    receiver.on_replay_start(ReplayStart(asset="p", stream="s", first=1, oldest=0, last=0, newest=0))
    assert len(requests) == 1  # there is nothing newer
    receiver.on_replay_start(ReplayStart(asset="p", stream="s", first=1, oldest=0, last=0, newest=2))
    assert requests[1:] == [request(since=100, stream="s", next_seq=1)]


def test_keep_alive_reveals_a_lost_last_message_which_is_requested_until_it_arrives():
    receiver, requests, clock = make(patience_s=2.0)
    receiver.accept("p", "s", 0, 100)
    receiver.on_keep_alive(KeepAlive(asset="p", stream="s", seq=0))
    assert requests == []  # quiet, nothing is missing
    for clock.now in (0.0, 1.0, 2.0):
        receiver.on_keep_alive(KeepAlive(asset="p", stream="s", seq=1))
    assert requests == [request(since=100, stream="s", next_seq=1)] * 2
    receiver.on_replay_start(ReplayStart(asset="p", stream="s", first=1))
    assert receiver.accept("p", "s", 1, 200)
    receiver.on_keep_alive(KeepAlive(asset="p", stream="s", seq=1))
    assert len(requests) == 2 and receiver.lost == 0


def test_keep_alive_of_an_unknown_stream_requests_its_replay_buffer():
    receiver, requests, _ = make()
    receiver.on_keep_alive(KeepAlive(asset="", stream="s", seq=-1))
    receiver.on_keep_alive(KeepAlive(asset="p", stream="s", seq=-1))
    assert requests == []
    receiver.on_keep_alive(KeepAlive(asset="p", stream="s", seq=7))
    assert requests == [request(since=0, stream="", next_seq=0)]
    receiver.on_replay_start(ReplayStart(asset="p", stream="s", first=5))
    assert [receiver.accept("p", "s", seq, seq) for seq in (5, 6, 7)] == [True, True, True]
    assert receiver.lost == 0


def test_keep_alive_is_sent_only_on_an_idle_stream():
    sent: list[bytes] = []
    timer = KeepAliveTimer(sent.append, interval_s=2.0)
    timer.tick(0.0, "s", "p", 1)  # a message went
    timer.tick(1.5, "s", "p", 2)  # and another
    assert timer.tick(3.0, "s", "p", 2) == 0.5 and sent == []
    timer.tick(3.5, "s", "p", 2)
    timer.tick(4.0, "s", "p", 2)
    timer.tick(5.5, "s", "p", 2)
    timer.tick(5.5, "s")  # one that has no asset yet is alive too
    keep_alive = KeepAlive(asset="p", stream="s", seq=1)
    assert [decode(message) for message in sent] == [keep_alive, keep_alive, KeepAlive(asset="", stream="s", seq=-1)]


ALL = ReplayRequest(topic="edgeml/sensors")


def test_replay_buffer_is_bounded_by_event_time_and_size():
    history = ReplayBuffer("p", "s", keep_s=10, keep_bytes=500)
    for second in range(100):
        history.add(second * SECOND, b"x" * 10)
    messages = list(history.replay(ALL))
    assert decode(messages[0]) == ReplayStart(asset="p", stream="s", first=89, oldest=89, last=99, newest=99)
    assert len(messages) == 1 + 11
    history.add(100 * SECOND, b"x" * 495)
    assert len(list(history.replay(ALL))) == 1 + 1


def test_empty_replay_buffer_is_reported():
    history = ReplayBuffer("p", "s")
    history.add(5, b"x")
    nothing = ReplayStart(asset="p", stream="s", first=1, oldest=0, last=0, newest=0)
    assert [decode(message) for message in history.replay(ReplayRequest(topic="t", since=5))] == [nothing]


def test_replay_sends_only_the_requested_numbers():
    history = ReplayBuffer("p", "s")
    for number in range(20):
        history.add(100 - number, b"%d" % number)  # their times do not show which are newer
    start, *sent = history.replay(ReplayRequest(topic="t", since=10**18, stream="s", next_seq=5, max_messages=3))
    assert decode(start) == ReplayStart(asset="p", stream="s", first=5, oldest=0, last=7, newest=19) and sent == [b"5", b"6", b"7"]
    assert len(list(history.replay(ReplayRequest(topic="t", max_messages=0)))) == 1
    assert len(list(history.replay(ReplayRequest(topic="t", stream="s", next_seq=99)))) == 1


def test_stream_that_went_back_in_time_is_replayed_whole_to_a_consumer_of_another():
    history = ReplayBuffer("p", "s")
    history.add(1000, b"before")
    history.add(10, b"after", epoch=1)
    missing = ReplayRequest(topic="t", since=2000, stream="other", next_seq=7)
    assert [*history.replay(missing)][1:] == [b"before", b"after"]
    assert [*history.replay(ReplayRequest(topic="t", since=2000, stream="s", next_seq=1))][1:] == [b"after"]


def test_consumer_of_an_earlier_stream_is_answered_by_number():
    history = ReplayBuffer("p", "s3", former={"s1": 3, "s2": 5})
    for number in range(8):
        history.add(1000 - 100 * number, b"%d" % number, epoch=number)

    def sent(stream: str, following: int) -> list[bytes]:
        return [*history.replay(ReplayRequest(topic="t", since=950, stream=stream, next_seq=following))][1:]

    assert sent("s2", 4) == [b"4", b"5", b"6", b"7"]
    assert sent("s1", 1)[0] == b"1"
    # It has a message that the producer lost in a kill: another message now has that number.
    assert sent("s2", 6) == [b"5", b"6", b"7"]
    assert sent("s1", 4)[0] == b"3"
    assert len(sent("unknown", 4)) == 8


def test_replay_buffer_never_has_a_gap():
    """A consumer that requests a number in a gap would get no answer, and wait."""
    history = ReplayBuffer("p", "s")
    for number in (3, 4, 8, 9):
        history.continue_at(number)
        history.add(number, b"%d" % number)
    assert [*history.replay(ReplayRequest(topic="t", stream="s", next_seq=4))][1:] == [b"8", b"9"]
    history.continue_at(10)
    assert history.oldest == 8
    history.continue_at(11)
    assert history.oldest == history.next_seq == 11


def test_consumer_requests_the_rows_after_its_last_one_from_a_new_stream():
    receiver, requests, _ = make()
    receiver.resume("p", "s1", 41, 1000)
    receiver.on_keep_alive(KeepAlive(asset="p", stream="s2", seq=45))
    receiver.on_keep_alive(KeepAlive(asset="p", stream="s3", seq=46))
    assert requests == [request(since=1000, stream="s1", next_seq=41)] * 2
    receiver.on_replay_start(ReplayStart(asset="p", stream="s3", first=41, oldest=0, last=46, newest=46))
    assert [receiver.accept("p", "s3", seq, 5) for seq in range(41, 47)] == [True] * 6 and receiver.lost == 0


def test_every_message_arrives_in_order_despite_any_drops():
    chance = random.Random(3)
    for _ in range(200):
        line = Line(chance)
        for seq in range(30):
            line.publish("p", seq, lost=seq < 29 and chance.random() < 0.3)
            line.deliver(share=0.8)
        line.deliver()
        assert line.taken["p"] == list(range(30))
        assert line.receiver.lost == 0


class Line:
    """A producer of many assets, an ordered channel, and a receiver at its end."""

    def __init__(self, chance: random.Random) -> None:
        self.clock, self.chance = Clock(), chance
        self.histories: dict[str, ReplayBuffer] = {}
        self.taken: dict[str, list[int]] = {}
        self.channel: list[bytes] = []
        self.receiver = SequenceTracker("edgeml/sensors", self.ask, self.clock)

    def ask(self, replay: ReplayRequest) -> None:
        for asset, history in self.histories.items():
            if replay.asset in ("", asset):
                self.channel += history.replay(replay)

    def publish(self, asset: str, seq: int, lost: bool = False) -> None:
        payload = encode(KeepAlive(asset=asset, stream="s", seq=seq))  # stands for a batch
        self.histories.setdefault(asset, ReplayBuffer(asset, "s")).add(seq + 1, payload)
        if not lost:
            self.channel.append(payload)

    def deliver_one(self) -> None:
        message = decode(self.channel.pop(0))
        if isinstance(message, ReplayStart):
            self.receiver.on_replay_start(message)
        elif self.receiver.accept(message.asset, "s", message.seq, message.seq + 1):
            self.taken.setdefault(message.asset, []).append(message.seq)

    def deliver(self, share: float = 1.0) -> None:
        while self.channel and self.chance.random() < share:
            self.deliver_one()


def test_replays_of_many_assets_never_fill_the_channel():
    line = Line(random.Random(4))
    assets = [f"pump-{number}" for number in range(40)]
    for seq in range(200):
        for asset in assets:
            line.publish(asset, seq, lost=True)  # the consumer was away
    line.receiver.query()
    most = 0
    for seq in range(200, 1200):
        for asset in assets:
            line.publish(asset, seq)
        for _ in range(60):
            most = max(most, len(line.channel))
            if line.channel:
                line.deliver_one()
    line.deliver()
    # One old message per asset, and twice as many new ones: two of three received messages are new.
    assert most <= 5 * len(assets)
    assert all(line.taken[asset] == list(range(1200)) for asset in assets) and line.receiver.lost == 0


def test_short_replays_of_many_assets_do_not_wait_for_each_other():
    line = Line(random.Random(7))
    assets = [f"pump-{number}" for number in range(126)]
    for asset in assets:
        line.publish(asset, 0)
    line.deliver()
    for asset in assets:
        line.publish(asset, 1, lost=True)  # the consumer was launched again
    line.receiver.query()
    for seq in range(2, 20):  # an answer takes as long as a new message of each asset
        for asset in assets:
            line.publish(asset, seq)
        for _ in range(len(line.channel)):
            line.deliver_one()
        if all(line.taken[asset][-1] == seq for asset in assets):
            break
    assert seq <= 6 and line.receiver.lost == 0


def test_consumer_with_a_position_requests_nothing_older():
    line = Line(random.Random(5))
    for seq in range(100):
        line.publish("p", seq, lost=True)
    line.receiver.resume("p", "s", 97, 97)
    line.receiver.query()
    line.deliver()
    assert line.taken["p"] == [97, 98, 99]


def test_stream_that_went_back_in_time_is_requested_by_number():
    line = Line(random.Random(6))
    history = line.histories["p"] = ReplayBuffer("p", "s")
    line.receiver.resume("p", "s", 1, 10**18)
    history.add(10**18, encode(KeepAlive(asset="p", stream="s", seq=0)))
    history.add(5, encode(KeepAlive(asset="p", stream="s", seq=1)), epoch=1)
    line.receiver.query()
    line.deliver()
    assert line.taken["p"] == [1]


def test_new_stream_that_began_earlier_is_requested_from_its_beginning():
    receiver, requests, _ = make()
    receiver.accept("p", "s", 0, 1000)
    assert not receiver.accept("p", "other", 3, 400)
    assert requests == [request(since=0, stream="s", next_seq=1)]


def test_replay_of_an_earlier_version_in_one_burst_is_accepted():
    receiver, requests, _ = make()
    receiver.accept("p", "s", 0, 100)
    receiver.accept("p", "s", 30, 3000)
    receiver.on_replay_start(ReplayStart(asset="p", stream="s", first=1))
    assert all(receiver.accept("p", "s", seq, seq) for seq in range(1, 31))
    assert len(requests) == 1 and receiver.lost == 0
