"""The outbox on disk and its delivery: order, confirmation, lateness, quota, reserve. The numbers are those of AlertDispatcher's README."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgeml.cloud.outbox import ALERTS, ENVELOPE, HEALTH, MAX_ENTRY, RESULTS, ROW_BYTES, Outbox, OutboxOptions
from edgeml.cloud.sender import CloudSender, queues
from edgeml.config.schema import read
from edgeml.messages import MAX_PAYLOAD
from edgeml.storage.disk_reserve import DiskReserve
from edgeml.timestamps import SECOND

pytestmark = pytest.mark.slow("fills the outbox with the messages of long outages")


class File:
    """A minimal service with an outbox."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)

    def do(self, sql: str, *values: Any) -> list[Any]:
        return self.db.execute(sql, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self.db.in_transaction:
            yield
            return
        self.do("BEGIN")
        yield
        self.do("COMMIT")


class Cloud:
    """An outbox, its delivery and IoT Core; `now` is the clock."""

    def __init__(self, tmp_path: Path, proof: str = "acknowledgement", **options: Any) -> None:
        self.path, self.now = tmp_path / "file.sqlite3", 1000.0
        self.options = read(OutboxOptions, {"confirmation": dict.fromkeys(("alerts", "health", "results"), proof), **options})
        self.got: list[dict[str, Any]] = []
        self.offline, self.mute, self.tries = False, False, 0
        self.renewals: list[str] = []
        self._seen = 0
        self.begin()

    def begin(self) -> None:
        self.outbox = Outbox(File(self.path), self.options, lambda: self.now)
        self.delivery = CloudSender(self.outbox, self.options, self.publish, self.renewals.append, monotonic=lambda: self.now)

    def publish(self, topic: str, payload: bytes) -> bool:
        self.tries += 1
        if self.offline:
            return False
        assert len(payload) <= MAX_PAYLOAD
        self.got.append(json.loads(payload))
        return True

    def put(self, kind: int, *numbers: int, size: int = 0) -> None:
        for number in numbers:
            self.outbox.put(kind, f"t/{kind}", json.dumps({"n": number, "kind": kind, "pad": "x" * size}).encode(), number * SECOND)

    def run(self, seconds: float = 0.0, step: float = 0.1) -> None:
        end = self.now + seconds
        while True:
            self.delivery.tick(self.now)
            fresh, self._seen = self.got[self._seen :], len(self.got)
            for message in fresh:
                if not self.mute:
                    self.delivery.echo(json.dumps(message).encode())
            if not fresh:
                if self.now >= end - 1e-9:
                    return
                self.now += step

    def numbers(self, kind: int) -> list[int]:
        return [message["n"] for message in self.got if message["kind"] == kind]


@pytest.fixture(params=["acknowledgement", "echo"])
def proof(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_46_outbox_sends_alerts_then_health_then_results_oldest_first(tmp_path, proof):
    cloud = Cloud(tmp_path, proof)
    cloud.offline = True
    for number in range(5):
        cloud.put(RESULTS, number)
        cloud.put(HEALTH, number)
        cloud.put(ALERTS, number)
    cloud.run(5)
    cloud.offline = False
    cloud.run(40)
    assert [cloud.numbers(kind) for kind in (ALERTS, HEALTH, RESULTS)] == [list(range(5))] * 3
    if proof == "acknowledgement":
        assert [message["kind"] for message in cloud.got] == [0] * 5 + [1] * 5 + [2] * 5
    assert cloud.outbox.counts == (0, 0, 0) and cloud.outbox.used == 0


def test_43_44_unconfirmed_message_is_sent_again_after_a_restart_with_its_id(tmp_path):
    cloud = Cloud(tmp_path, "echo")
    cloud.mute = True
    cloud.put(ALERTS, 1)
    cloud.run()
    cloud.begin()
    cloud.run()
    first, again = cloud.got
    assert first == again and cloud.outbox.counts[ALERTS] == 1
    cloud.delivery.echo(json.dumps(first).encode())
    assert cloud.outbox.counts[ALERTS] == 0


NO_ECHO = [b"", b"{", b"[]", b"\xff", b'{"entry": 5}', b'{"entry": "x-1"}', b'{"entry": "-1"}', b'{"entry": "ID--1"}']


@pytest.mark.parametrize("payload", NO_ECHO)
def test_44_payload_that_is_no_echo_confirms_nothing(tmp_path, payload):
    cloud = Cloud(tmp_path, "echo")
    cloud.put(ALERTS, 1)
    cloud.delivery.echo(payload.replace(b"ID", cloud.outbox.id.encode()))
    assert cloud.outbox.counts[ALERTS] == 1


def guesses(seen: str) -> list[str]:
    """Ids that an attacker who has seen the id of one message might guess for the next one."""
    own, no, proof = seen.split("-")
    following = int(no) + 1
    return [
        f"{own}-{following}",
        f"{own}-{following}-",
        f"{own}-{following}-{proof}",
        f"{own}-{following}-{'0' * 24}",
        f"{own}-{following}-{proof}-{proof}",
        f"{own}-{following}-{proof[:-1]}\u00e9",
        f"{own}-0{following}-{proof}",
    ]


def test_44_echo_with_a_guessed_id_confirms_nothing(tmp_path):
    cloud = Cloud(tmp_path, "echo")
    cloud.put(ALERTS, 1, 2, 3)
    cloud.mute = True
    cloud.run()
    (first,) = cloud.got
    for guess in guesses(first["entry"]):
        for _ in range(2):
            cloud.delivery.echo(json.dumps({**first, "entry": guess}).encode())
            cloud.begin()
    assert cloud.outbox.counts[ALERTS] == 3
    cloud.mute = False
    cloud.run(30)
    assert cloud.numbers(ALERTS) == [1, 1, 2, 3] and len({message["entry"] for message in cloud.got}) == 3
    assert cloud.outbox.counts[ALERTS] == 0


def test_44_echo_of_another_message_with_the_same_number_confirms_nothing(tmp_path):
    cloud = Cloud(tmp_path, "echo")
    cloud.put(ALERTS, 1)
    cloud.mute = True
    cloud.run()
    cloud.outbox._db.do("UPDATE outgoing SET payload = ?", b'{"n":2,"kind":0}')  # as after a file was put back from a copy
    cloud.delivery.echo(json.dumps(cloud.got[0]).encode())
    assert cloud.outbox.counts[ALERTS] == 1


def test_44_echo_to_another_outbox_confirms_nothing(tmp_path):
    first, second = (Cloud(tmp_path / name, "echo") for name in ("a", "b") if (tmp_path / name).mkdir() is None)
    second.outbox._db.do("UPDATE outgoing_id SET id = ?", first.outbox.id)
    second.begin()
    for cloud in (first, second):
        cloud.put(ALERTS, 1)
        cloud.mute = True
        cloud.run()
    assert first.outbox.id == second.outbox.id
    second.delivery.echo(json.dumps(first.got[0]).encode())
    assert second.outbox.counts[ALERTS] == 1


def test_44_outbox_of_a_version_without_confirmations_is_sent_and_confirmed(tmp_path):
    cloud = Cloud(tmp_path, "echo")
    cloud.put(ALERTS, 1, 2)
    old = f"{cloud.outbox.id}-1"
    cloud.outbox._db.do("DROP TABLE outgoing_key")
    cloud.begin()
    cloud.delivery.echo(json.dumps({"entry": old}).encode())
    assert cloud.outbox.counts[ALERTS] == 2
    cloud.run(30)
    assert cloud.numbers(ALERTS) == [1, 2] and cloud.outbox.counts[ALERTS] == 0


def test_45_acknowledged_but_lost_message_is_sent_again(tmp_path):
    cloud = Cloud(tmp_path, "echo")
    cloud.put(ALERTS, 1, 2)
    cloud.mute = True
    cloud.run()
    lost = cloud.got.pop()
    cloud._seen = 0
    cloud.mute = False
    cloud.run(9.5)
    assert cloud.got == []
    cloud.run(1)
    assert cloud.numbers(ALERTS) == [1, 2] and cloud.got[0]["entry"] == lost["entry"]
    assert cloud.renewals == ["IoT Core does not echo alerts"] and cloud.delivery.faults == ()


def test_45_messages_without_echoes_are_sent_kept_and_reported(tmp_path):
    cloud = Cloud(tmp_path, "echo", backlog_rate=1000)
    cloud.mute = True
    cloud.put(ALERTS, *range(150))
    cloud.run(60, step=0.5)
    assert sorted(set(cloud.numbers(ALERTS))) == list(range(100)) and cloud.outbox.counts[ALERTS] == 150
    assert "IoT Core echoes no alerts" in cloud.delivery.faults[0] and len(cloud.got) < 400
    cloud.mute = False
    cloud.run(1300, step=1)
    assert cloud.outbox.counts[ALERTS] == 0 and set(cloud.numbers(ALERTS)) == set(range(150)) and cloud.delivery.faults == ()


def test_46_no_result_is_sent_while_an_alert_waits_for_its_echo(tmp_path):
    cloud = Cloud(tmp_path, "echo")
    cloud.mute = True
    cloud.put(RESULTS, 1)
    cloud.put(ALERTS, 1)
    cloud.run(5)
    assert [message["kind"] for message in cloud.got] == [ALERTS]
    cloud.mute = False
    cloud.delivery.echo(json.dumps(cloud.got[0]).encode())
    cloud.run(1)
    assert [message["kind"] for message in cloud.got] == [ALERTS, RESULTS] and cloud.outbox.counts == (0, 0, 0)


def test_46_failing_class_blocks_no_other(tmp_path):
    cloud = Cloud(tmp_path)
    cloud.put(ALERTS, 1)
    cloud.put(RESULTS, 1)
    taken = cloud.publish
    cloud.delivery._publish = lambda topic, payload: topic != "t/0" and taken(topic, payload)
    cloud.run(1)
    assert cloud.numbers(RESULTS) == [1] and cloud.outbox.counts == (1, 0, 0)


def test_46_step_ends_after_a_slow_publish(tmp_path):
    cloud = Cloud(tmp_path)
    cloud.put(ALERTS, *range(3))
    cloud.put(RESULTS, *range(3))
    taken = cloud.publish

    def slowly(topic: str, payload: bytes) -> bool:
        cloud.now += 1.0
        return taken(topic, payload)

    cloud.delivery._publish = slowly
    for number in range(1, 7):
        assert cloud.delivery.tick(cloud.now) == (0.0 if number < 6 else 60.0) and len(cloud.got) == number
    assert [message["kind"] for message in cloud.got] == [ALERTS] * 3 + [RESULTS] * 3


def test_46_few_attempts_are_made_while_offline(tmp_path):
    cloud = Cloud(tmp_path)
    cloud.offline = True
    cloud.put(ALERTS, 1)
    cloud.put(RESULTS, *range(100))
    cloud.run(300)
    assert cloud.tries <= 2 * (5 + 300 / 30)


def test_47_only_delayed_messages_are_marked_late(tmp_path):
    cloud = Cloud(tmp_path, late_after_s=10)
    cloud.put(ALERTS, 1)
    cloud.run()
    cloud.offline = True
    cloud.put(ALERTS, 2)
    cloud.run(20)
    cloud.offline = False
    cloud.run(40)
    assert [{key: value for key, value in message.items() if key in ("late", "event_at")} for message in cloud.got] == [
        {},
        {"late": True, "event_at": "1970-01-01T00:00:02.000Z"},
    ]


def test_47_every_message_is_late_after_a_reboot(tmp_path, monkeypatch):
    cloud = Cloud(tmp_path)
    cloud.put(ALERTS, 1)
    monkeypatch.setattr("edgeml.cloud.sender.boot_id", lambda: "another")
    cloud.run()
    assert cloud.got[0]["late"] is True


def test_47_backlog_is_sent_slowly_and_delays_no_new_alert(tmp_path):
    cloud = Cloud(tmp_path, backlog_rate=10)
    cloud.put(RESULTS, *range(300))
    cloud.now += 100
    cloud.run(10)
    assert 95 <= len(cloud.got) <= 112
    cloud.put(ALERTS, 7)
    cloud.delivery.tick(cloud.now)
    assert cloud.numbers(ALERTS) == [7]
    cloud.run(20)
    assert cloud.numbers(RESULTS) == list(range(300))


def test_48_results_are_downsampled_from_the_oldest_and_cover_the_whole_outage(tmp_path):
    cloud = Cloud(tmp_path, max_mb=0.1)
    cloud.offline = True
    cloud.put(RESULTS, *range(2000), size=200)
    assert cloud.outbox.used <= 100_000
    cloud.offline = False
    cloud.run(60)
    kept = cloud.numbers(RESULTS)
    gaps = [b - a for a, b in zip([0, *kept], [*kept, 2000], strict=True)]
    assert kept == sorted(kept) and len(kept) > 120 and max(gaps) <= 14
    assert cloud.outbox.dropped["results: downsampled"] == 2000 - len(kept)


def test_48_alternating_assets_are_downsampled_equally(tmp_path):
    cloud = Cloud(tmp_path, max_mb=0.1)
    cloud.put(RESULTS, *range(2400), size=200)
    cloud.run()
    cloud.run(60)
    for assets in (2, 3, 4, 6):
        shares = [len([number for number in cloud.numbers(RESULTS) if number % assets == turn]) for turn in range(assets)]
        assert max(shares) < 1.4 * min(shares), shares


def test_48_49_results_then_health_are_discarded_and_alerts_never_within_the_reserve(tmp_path, caplog):
    cloud = Cloud(tmp_path, max_mb=0.1, reserve_alerts=400)
    cloud.put(RESULTS, *range(100), size=200)
    cloud.put(HEALTH, *range(100), size=200)
    cloud.put(ALERTS, *range(220), size=200)
    assert cloud.outbox.counts[RESULTS] == 0 and 0 < cloud.outbox.counts[HEALTH] < 100
    cloud.put(ALERTS, *range(220, 500), size=200)
    assert cloud.outbox.counts == (400, 0, 0) and cloud.outbox.dropped["alerts: refused"] == 100
    assert len([record for record in caplog.records if "alerts for the cloud are refused" in record.message]) == 1
    cloud.put(RESULTS, 1)
    cloud.put(HEALTH, 1)
    assert cloud.outbox.counts == (400, 0, 0) and cloud.outbox.dropped["results: refused"] == 1
    cloud.run(60)
    assert cloud.numbers(ALERTS) == list(range(400))


def test_48_quota_is_used_to_the_last_byte_and_not_exceeded(tmp_path):
    cloud = Cloud(tmp_path, max_mb=0.1, reserve_alerts=0)
    payload = b'{"pad":"%s"}' % bytes(880 - len(b'{"pad":""}')).replace(b"\0", b"x")
    size = len(payload) + ROW_BYTES
    assert size == 1000
    for number in range(99):
        assert cloud.outbox.put(ALERTS, "t", payload, number) is not None
    assert cloud.outbox.put(ALERTS, "t", payload[:-2] + b'x"}', 99) is None, "one byte more than there is room"
    assert cloud.outbox.put(ALERTS, "t", payload, 99) is not None and cloud.outbox.used == cloud.outbox.most == 100_000
    assert cloud.outbox.put(HEALTH, "t", b"{}", 100) is None


@pytest.mark.parametrize("more", [0, 1])
def test_message_of_the_maximum_size_is_kept_and_a_larger_one_refused(tmp_path, more):
    cloud = Cloud(tmp_path)
    payload = b'{"pad":"%s"}' % (b"x" * (MAX_ENTRY + more - len(b'{"pad":""}')))
    assert (cloud.outbox.put(ALERTS, "t", payload, 0) is None) == bool(more)


def test_50_outbox_does_not_grow_on_a_nearly_full_disk(tmp_path):
    cloud = Cloud(tmp_path)
    cloud.put(RESULTS, *range(100), size=200)
    used = cloud.outbox.used
    cloud.outbox.short = True
    cloud.put(RESULTS, *range(100, 300), size=200)
    assert cloud.outbox.used <= used and queues(cloud.outbox)["to IoT Core: kB"][1] == used // 1000
    cloud.outbox.short = False
    cloud.put(RESULTS, *range(300, 400), size=200)
    assert cloud.outbox.used > used


def test_held_message_can_be_rewritten_until_its_release(tmp_path):
    cloud = Cloud(tmp_path)
    no = cloud.outbox.put(RESULTS, "t", b'{"n":1,"kind":2}', 0, hold=True)
    cloud.run(1)
    assert cloud.got == [] and cloud.outbox.rewrite(no, b'{"n":234,"kind":2}')
    assert cloud.outbox.used == ROW_BYTES + len(b'{"n":234,"kind":2}')
    cloud.outbox.release(no)
    cloud.run(1)
    assert cloud.numbers(RESULTS) == [234] and not cloud.outbox.rewrite(no, b"{}")


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("class", 3),
        ("class", "x"),
        ("topic", b"t"),
        ("topic", "edgeml/#"),
        ("topic", "\u00e9"),
        ("event_ns", "x"),
        ("queued_s", b""),
        ("boot", 5.5),
        ("boot", b""),
        ("payload", "{}"),
        ("payload", b""),
        ("payload", b"{"),
        ("no", -4),
    ],
)
def test_damaged_row_blocks_no_other(tmp_path, caplog, column, cell):
    cloud = Cloud(tmp_path)
    cloud.put(RESULTS, 1, 2, 3)
    cloud.outbox._db.do(f"UPDATE outgoing SET {column} = ? WHERE no = 2", cell)
    sound = cloud.outbox._db.do("SELECT typeof(boot) FROM outgoing WHERE no = 2") == [("text",)] and column == "boot"
    cloud.begin()
    cloud.run()
    assert cloud.numbers(RESULTS) == ([1, 2, 3] if sound else [1, 3]) and cloud.outbox.counts == (0, 0, 0)
    assert sound or "1 messages for the cloud cannot be read" in caplog.text


@pytest.mark.parametrize("ids", [[], [b"x"], ["'"], ["0123456789abcdef", "0123456789abcdef"]])
def test_damaged_id_of_the_outbox_is_replaced(tmp_path, ids):
    cloud = Cloud(tmp_path)
    cloud.put(RESULTS, 1)
    cloud.outbox._db.do("DELETE FROM outgoing_id")
    for each in ids:
        cloud.outbox._db.do("INSERT INTO outgoing_id VALUES (?)", each)
    cloud.begin()
    cloud.run()
    assert len(cloud.outbox.id) == 16 and cloud.got[0]["entry"].startswith(f"{cloud.outbox.id}-1-")


def test_counts_match_the_tables_after_a_rollback(tmp_path):
    cloud = Cloud(tmp_path)
    file: Any = cloud.outbox._db
    file.do("BEGIN")
    no = cloud.outbox.put(RESULTS, "t", b"{}", 0, hold=True)
    file.do("ROLLBACK")
    cloud.outbox.rolled_back()
    assert cloud.outbox.counts == (0, 0, 0) and not cloud.outbox.rewrite(no, b"{}")


def test_counts_match_the_tables_if_a_restart_begins_with_a_delivery(tmp_path):
    cloud = Cloud(tmp_path)
    cloud.put(RESULTS, 1, 2, 3)
    cloud.begin()
    cloud.outbox.delivered(1)
    assert cloud.outbox.counts == (0, 0, 2)
    cloud.run()
    assert cloud.numbers(RESULTS) == [2, 3]


def test_envelope_fits_and_a_larger_payload_is_refused(tmp_path, caplog):
    cloud = Cloud(tmp_path)
    cloud.put(ALERTS, 1, size=MAX_ENTRY - len(json.dumps({"n": 1, "kind": 0, "pad": ""})))
    cloud.outbox._db.do("UPDATE outgoing SET no = ?", 10**18 - 1)
    cloud.now += 100
    cloud.run()
    assert cloud.numbers(ALERTS) == [1] and cloud.got[0]["late"] is True
    assert cloud.outbox.put(ALERTS, "t", bytes(MAX_ENTRY + 1), 0) is None and "shorten the names" in caplog.text
    assert ENVELOPE + MAX_ENTRY == MAX_PAYLOAD


def test_51_reserve_is_allocated_released_once_and_allocated_again(tmp_path):
    free = 100_000
    reserve = DiskReserve(tmp_path / "r", 10_000, 5_000, free=lambda folder: free)
    assert reserve.held and not reserve.look(0) and (tmp_path / "r").stat().st_blocks * 512 >= 10_000
    free = 4_000
    assert not reserve.look(1) and reserve.look(10)
    assert reserve.release() and not reserve.release() and not (tmp_path / "r").exists()
    free = 19_999
    assert reserve.look(100) and not reserve.held
    free = 20_000
    assert reserve.look(120) and not reserve.look(200) and reserve.held
