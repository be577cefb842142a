"""Captured files on their way to IoT Core: README 42 to 45."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeml.config.schema import read
from edgeml.errors import OptionsError
from edgeml.messages import MAX_PAYLOAD, SensorBatch
from edgeml.timestamps import SECOND, to_iso
from sensor_ingestion.capture.recorder import CaptureRecorder
from sensor_ingestion.capture.segment_store import SENT
from sensor_ingestion.capture.uploader import STATE_FILE, Uploader
from sensor_ingestion.options import CaptureOptions, SensorIngestionOptions
from tests.edgeml.cloud.test_outbox import guesses
from tests.fake_bus import FakeBus

from .kit import CSV, T0, Bench, Clock, recording, steady

TOPIC = "edgeml/t/captures"


class Device:
    """A recorder and its upload; `now` is the clock of both."""

    def __init__(self, folder: Path, clock: Clock | None = None, **options: Any) -> None:
        self.folder, self.clock, self.bus = folder, clock or Clock(), FakeBus()
        self._options = read(CaptureOptions, {"mode": "all", "upload": True, "segment_rows": 1000, **options})
        self.begin()

    def begin(self) -> None:
        """Start as a new process, however the previous one ended."""
        self.recorder = CaptureRecorder(self._options, self.folder, 1, self.clock.monotonic)
        self.upload = Uploader(self._options, self.folder, "t", self.recorder, self.bus, self.clock.monotonic)

    def rows(self, seq: int, n: int = 1000, channels: int = 8, asset: str = "a", whole: bool = True) -> None:
        """A batch of noise, which compresses badly; `whole`: its file is closed after it."""
        values = np.random.default_rng(seq).normal(size=(n, channels))
        times = T0 + (seq * n + np.arange(n)) * SECOND
        self.recorder.take(SensorBatch.of(asset, "s", seq, tuple(f"c{i}" for i in range(channels)), ("g",) * channels, times, values))
        if whole:
            self.recorder.close()

    def run(self, seconds: float, echo: bool = False) -> None:
        for _ in range(round(seconds * 10)):
            self.upload.tick(self.clock.now)
            if echo:
                for _, payload in self.bus.cloud:
                    self.upload.echo(payload)
            self.clock.now += 0.1

    def sent(self) -> list[dict[str, Any]]:
        """Every message so far, with the lines of its text."""
        messages = []
        for topic, payload in self.bus.cloud:
            assert topic == TOPIC and len(payload) <= MAX_PAYLOAD
            message = json.loads(payload)
            messages.append(message | {"text": gzip.decompress(base64.b64decode(message.pop("gzip"))).decode().splitlines()})
        return messages

    def files(self) -> list[Path]:
        """The complete files, sorted."""
        return sorted((self.folder / "capture").rglob("*.csv.gz"))

    def done(self) -> list[bool]:
        """Whether each file is marked as sent by its name."""
        return [path.name.endswith(SENT) for path in self.files()]


def test_chunks_are_readable_alone_and_make_up_the_files(tmp_path: Path) -> None:  # 42
    device = Device(tmp_path, upload_rate=5)
    for seq in range(3):
        device.rows(seq)
    written = {path.name: gzip.decompress(path.read_bytes()).decode().splitlines() for path in device.files()}
    device.run(60)
    sent, names = device.sent(), [name.removesuffix(".csv.gz") for name in written]
    assert [message["segment"] for message in sent] == sorted(message["segment"] for message in sent), "the oldest file first"
    for name, (heading, columns, *rows) in zip(names, written.values(), strict=True):
        of_it = [message for message in sent if message["segment"] == name]
        assert len(of_it) > 1 and [row for message in of_it for row in message["text"][2:]] == rows
        for message in of_it:
            assert message["text"][:2] == [heading, columns] and message["rows"] == len(message["text"]) - 2
            assert (message["type"], message["v"], message["asset"], message["thing"]) == ("capture", 1, "a", "t")
            assert rows[message["row"]] == message["text"][2]
            assert message["at"] == to_iso(int(message["text"][2].split(",")[0]))
    # Full, and one part of 5 KiB each as IoT Core and Firehose count; but for the last of a file.
    sizes = [len(payload) for _, payload in device.bus.cloud]
    full = [size for size, message in zip(sizes, sent, strict=True) if message["row"] + message["rows"] < 1000]
    assert min(full) > 0.8 * 5000 and max(sizes) <= 5000
    assert len({message["entry"] for message in sent}) == len(sent)


def test_upload_respects_its_rate_and_waits_for_complete_files(tmp_path: Path) -> None:  # 42
    device = Device(tmp_path, upload_rate=2)
    device.rows(0, whole=False)
    device.run(5)
    assert device.bus.attempts == 0
    device.rows(1, whole=False)
    device.run(2.05)
    assert 3 <= device.bus.attempts <= 5


def test_lost_rows_are_reported_once(tmp_path: Path) -> None:  # 42
    device = Device(tmp_path)
    device.recorder.lost["a"] = 7
    device.rows(0)
    device.run(30)
    heads = [json.loads(message["text"][0][2:])["lost_rows"] for message in device.sent()]
    assert len(heads) > 1 and heads == [7] + [0] * (len(heads) - 1)


@pytest.mark.parametrize("echo", [False, True])
def test_unconfirmed_chunk_is_sent_again_and_a_confirmed_file_is_done(tmp_path: Path, echo: bool) -> None:  # 43
    device = Device(tmp_path, upload_confirmation="echo" if echo else "acknowledgement", upload_rate=50)
    device.rows(0)
    if not echo:
        device.bus.failing_topics.add(TOPIC)
    device.run(60)
    assert device.bus.attempts > 1 and len({message["entry"] for message in device.sent()}) <= 1, "one piece at a time"
    assert device.done() == [False]
    assert (device.bus.resubscribe_reasons != []) == echo and bool(device.upload.faults) == echo
    if echo:
        assert "set capture.upload_confirmation to acknowledgement" in device.upload.faults[0]
    device.bus.failing_topics.clear()
    device.run(600, echo)
    assert device.done() == [True] and device.upload.waiting == 0
    assert sum({message["row"]: message["rows"] for message in device.sent()}.values()) == 1000 and device.upload.faults == ()


def test_kill_repeats_at_most_one_chunk(tmp_path: Path) -> None:  # 43
    device = Device(tmp_path)
    device.rows(0)
    device.rows(1)
    for _ in range(40):
        device.upload.tick(device.clock.now)
        device.clock.now += 1.1
        device.begin()
    sent = device.sent()
    assert sum(message["rows"] for message in sent) == 2000 and len({message["entry"] for message in sent}) == len(sent)
    count = len(sent)
    device.begin()
    device.run(5)
    assert len(device.sent()) == count and device.done() == [True, True]


def test_chunk_with_a_lost_position_is_sent_again_under_its_id(tmp_path: Path) -> None:  # 43
    device = Device(tmp_path)
    device.rows(0)
    device.run(1)
    before = (tmp_path / STATE_FILE).read_bytes()
    device.run(1)
    (tmp_path / STATE_FILE).write_bytes(before)
    device.begin()
    device.run(30)
    first, second, again, *_ = device.sent()
    assert (second["entry"], second["row"]) == (again["entry"], again["row"]) and first["entry"] != second["entry"]


def test_echo_with_a_guessed_id_confirms_nothing(tmp_path: Path) -> None:  # 43
    device = Device(tmp_path, upload_confirmation="echo", upload_rate=50)
    device.rows(0)
    device.run(0.3)
    (first,) = device.bus.cloud
    seen = json.loads(first[1])["entry"]
    device.upload.echo(first[1])
    device.run(0.3)
    for guess in guesses(seen):
        device.upload.echo(json.dumps({"type": "capture", "entry": guess}).encode())
    assert device.upload._position.no == 2 and len(device.sent()) == 2, "the second piece is under way still"
    device.upload.echo(device.bus.cloud[1][1])
    assert device.upload._position.no == 3


def test_echo_after_a_relaunch_confirms_the_same_rows(tmp_path: Path) -> None:  # 43
    device = Device(tmp_path, upload_confirmation="echo", upload_rate=50)
    device.rows(0, channels=1)
    device.run(0.3)
    device.upload.echo(device.bus.cloud[0][1])
    device.run(0.3)
    device.begin()
    device.run(0.3)
    first, second, again = device.sent()
    assert (again["entry"], again["row"], again["rows"]) == (second["entry"], second["row"], second["rows"]) and second["rows"] > 256
    device.upload.echo(device.bus.cloud[1][1])
    assert device.upload._position.row == second["row"] + second["rows"]


def test_position_of_a_version_without_keys_is_continued(tmp_path: Path) -> None:  # 43
    device = Device(tmp_path)
    device.rows(0)
    device.run(1)
    note = json.loads((tmp_path / STATE_FILE).read_bytes())
    (tmp_path / STATE_FILE).write_text(json.dumps({name: note[name] for name in ("id", "no", "segment", "row")}))
    device.begin()
    device.run(30)
    first, second, *_ = device.sent()
    assert second["row"] == first["rows"] and device.done() == [True]
    assert sum(message["rows"] for message in device.sent()) == 1000


@pytest.mark.parametrize("damage", [b"", b"{", b'{"id": 5}', b"\xff"])
def test_unreadable_position_restarts_the_file(tmp_path: Path, damage: bytes) -> None:  # 43
    device = Device(tmp_path)
    device.rows(0)
    device.run(1)
    (tmp_path / STATE_FILE).write_bytes(damage)
    device.begin()
    device.run(30)
    first, again, *rest = device.sent()
    assert first["row"] == again["row"] == 0 and first["entry"] != again["entry"]
    assert sum(message["rows"] for message in (again, *rest)) == 1000


@pytest.mark.slow("fills the quota of the capture")
def test_quota_holds_and_files_deleted_unsent_are_counted(tmp_path: Path) -> None:  # 44
    device = Device(tmp_path, quota_mb=1)
    device.bus.failing_topics.add(TOPIC)
    for seq in range(40):
        device.rows(seq)
        device.run(0.2)
    assert sum(path.stat().st_size for path in (tmp_path / "capture").rglob("*") if path.is_file()) <= 1_000_000
    assert device.recorder.deleted_unsent == 40 - device.upload.waiting > 0
    device.bus.failing_topics.clear()
    device.run(600)
    assert device.upload.waiting == 0 and device.upload.faults == ()
    assert {message["segment"] for message in device.sent()} >= {path.name.removesuffix(SENT) for path in device.files()}


def test_file_that_cannot_be_sent_is_skipped_and_reported(tmp_path: Path) -> None:  # 45
    device = Device(tmp_path)
    device.rows(0)
    device.rows(1)
    device.rows(2, n=1000, channels=900, asset="wide")
    damaged = device.files()[0]
    damaged.write_bytes(damaged.read_bytes()[:1000])
    device.run(60)
    assert device.done() == [False, True, False]
    unread, wide = device.upload.faults
    assert unread.startswith(f"capture: {damaged} is not sent to IoT Core: it cannot be read") and unread.endswith("check its folder")
    assert "a row of 900 channels does not fit into a message" in wide and device.upload.waiting == 0


def test_upload_continues_if_the_position_cannot_be_written(tmp_path: Path) -> None:  # 43
    device = Device(tmp_path)
    device.rows(0)
    (tmp_path / STATE_FILE).with_suffix(".new").mkdir()
    device.run(30)
    assert sum(message["rows"] for message in device.sent()) == 1000
    assert "cannot be written" in device.upload.faults[0] and "free some space" in device.upload.faults[0]


def test_service_sends_reports_and_takes_echoes(tmp_path: Path) -> None:  # 27, 40
    path = recording(tmp_path / "a.csv", steady(20))
    capture = {"mode": "all", "segment_rows": 10, "upload": True, "upload_confirmation": "echo", "upload_rate": 100}
    bench = Bench(tmp_path, {"a": {"source": "csv", "options": {"path": str(path), **CSV}}}, capture=capture)
    assert bench.service.cloud_topics == bench.service.echo_topics == (TOPIC,)
    bench.run()
    assert bench.service.metrics().queues["to IoT Core: captured files"] == (1, 0)
    (sent,) = bench.wire.cloud
    bench.service.on_echo(sent[1])
    assert bench.service.metrics().queues["to IoT Core: captured files"] == (0, 0) and bench.service.status().faults == ()
    bench.service.close()
    plain = Bench(tmp_path, {"a": {"source": "csv", "options": {"path": str(path), **CSV}}}, capture={"mode": "all"})
    assert plain.service.cloud_topics == () and "to IoT Core: captured files" not in plain.service.metrics().queues
    plain.service.on_echo(sent[1])


def test_upload_without_capture_is_refused() -> None:  # 19
    with pytest.raises(OptionsError) as fault:
        read(SensorIngestionOptions, {"assets": {"a": {"source": "simulator"}}, "capture": {"upload": True}})
    assert fault.value.faults == [
        "`capture.upload` is true and `capture.mode` is off, so no file is captured; set `capture.mode` to all or alarms"
    ]
