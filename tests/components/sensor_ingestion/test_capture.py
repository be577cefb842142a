"""The capture: README 28 to 33."""

from __future__ import annotations

import csv
import errno
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeml.config.schema import read
from edgeml.errors import OptionsError
from edgeml.messages import AHEAD, MISSING, Alert, SensorBatch, topics
from edgeml.timestamps import SECOND, to_iso
from sensor_ingestion.capture import segment_format, segment_store
from sensor_ingestion.capture.recorder import CaptureRecorder, CaptureWindow
from sensor_ingestion.capture.segment_store import Limits, SegmentStore
from sensor_ingestion.options import CaptureOptions, SensorIngestionOptions

from .kit import CSV, T0, Bench, Clock, recording, rows, steady


def batch(seq: int, n: int = 5, asset: str = "a", stream: str = "s1", start: int | None = None) -> SensorBatch:
    """n rows of two channels, a second apart, numbered on from `seq * n`; `time` and `flow` count alike."""
    begin = seq * n if start is None else start
    count = np.arange(begin, begin + n)
    values = np.stack([count + 0.1, np.full(n, 2.0)], axis=1)
    return SensorBatch.of(asset, stream, seq, ("flow", "current"), ("l/min", "A"), T0 + count * SECOND, values)


def recorder(folder: Path, clock: Clock | None = None, assets: int = 1, **options: Any) -> CaptureRecorder:
    return CaptureRecorder(read(CaptureOptions, {"mode": "all", **options}), folder, assets, (clock or Clock()).monotonic)


def alert(second: int, state: str = "active", asset: str = "a", raised: bool = True) -> Alert:
    at = to_iso(T0 + second * SECOND)
    return Alert(id="i", asset=asset, stream="x", seq=0, model="m", model_version="1", state=state, at=at, raised_at=at if raised else None)


def files(folder: Path) -> list[Path]:
    return sorted((folder / "capture").rglob("*.csv.gz"))


def captured(folder: Path) -> list[int]:
    """The seconds of all captured rows, in the order of the files' names."""
    found = [np.loadtxt(path, delimiter=",", skiprows=2, ndmin=2, dtype=str) for path in files(folder)]
    return [(int(time) - T0) // SECOND for each in found for time in each[:, 0]]


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "capture").rglob("*") if path.is_file())


def test_captured_file_is_readable_without_this_library(tmp_path: Path) -> None:  # 28
    bench = Bench(tmp_path, {"pump/1": {"source": "csv", "options": {"path": str(recorded(tmp_path)), **CSV}}}, capture={"mode": "all"})
    sent = bench.run()
    bench.service.close()
    (path,) = files(tmp_path)
    assert path.relative_to(tmp_path / "capture").parts[:2] == ("pump%2F1", "2020-03-09")
    assert path.name == f"20200309T101433.000000000Z-{sent[0].stream}-000000000.csv.gz"
    table = np.loadtxt(path, delimiter=",", skiprows=2)
    times, values, quality = rows(sent)
    assert np.array_equal(table[:, 2:4].astype("f4"), values, equal_nan=True)
    with gzip.open(path, "rt") as text:
        about = json.loads(text.readline()[2:])
        first, *rest = csv.reader(text)
    assert about == {
        "format": "edgeml-capture",
        "version": 1,
        "asset": "pump/1",
        "stream": sent[0].stream,
        "channels": ["flow", "current"],
        "units": ["l/min", "A"],
        "lost_rows": 0,
    }
    assert first == ["time_ns", "seq", "flow", "current", "quality"]
    assert [int(row[0]) for row in rest] == times.tolist() and [int(row[1]) for row in rest[::5]] == [0, 1, 2, 3]
    assert rest[3][2] == "nan" and rest[3][4] == f"{MISSING}0" and quality[3].tolist() == [MISSING, 0]


def recorded(folder: Path) -> Path:
    lines = steady(20)
    lines[3] = f"{T0 // SECOND + 3},,2.0"
    return recording(folder / "a.csv", lines)


def test_mode_off_captures_nothing_and_subscribes_to_no_alerts(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"a": {"source": "csv", "options": {"path": str(recorded(tmp_path)), **CSV}}})
    bench.run()
    bench.service.close()
    assert not (tmp_path / "capture").exists() and topics.ALERTS not in bench.service.topics


@pytest.mark.parametrize("name", ["pump-1", "a/b", "..", "ü" * 60, "x" * 128, "a,b\n"])
def test_every_asset_has_its_own_folder(name: str) -> None:
    folder = segment_format.folder_name(name)
    assert "/" not in folder and folder not in (".", "..") and len(folder) < 250 and folder != segment_format.folder_name(name + "2")


@pytest.mark.slow("fills the quota of the capture")
def test_quota_holds_and_the_oldest_files_are_deleted_first(tmp_path: Path) -> None:  # 29
    rng = np.random.default_rng(0)
    kept = recorder(tmp_path, assets=2, quota_mb=1, segment_rows=500)
    largest = 0
    for seq in range(50):
        for asset in ("a", "b"):
            time = T0 + np.arange(seq * 500, seq * 500 + 500) * SECOND
            values = rng.normal(size=(500, 8))
            kept.take(SensorBatch.of(asset, "s", seq, tuple("12345678"), ("",) * 8, time, values))
            largest = max(largest, size(tmp_path))
            assert largest <= 1_000_000
    kept.close()
    assert kept.fault == "" and not kept.lost and 800_000 < size(tmp_path) <= 1_000_000
    for asset in ("a", "b"):
        left = [int(path.name.rsplit("-", 1)[1].split(".")[0]) for path in files(tmp_path) if path.parts[-3] == asset]
        assert left == [*range(min(left), 50)] and min(left) > 0  # none from the middle is gone


@pytest.mark.slow("fills the quota of the capture")
def test_lower_quota_holds_from_the_start(tmp_path: Path) -> None:  # 29
    kept = recorder(tmp_path, segment_rows=500)
    for seq in range(30):
        values = np.random.default_rng(seq).normal(size=(500, 24))
        kept.take(SensorBatch.of("a", "s", seq, tuple(map(str, range(24))), ("",) * 24, T0 + np.arange(500) * SECOND, values))
    kept.close()
    assert size(tmp_path) > 1_000_000
    recorder(tmp_path, quota_mb=1)
    assert 0 < size(tmp_path) <= 1_000_000
    assert not [path for path in (tmp_path / "capture").rglob("*") if path.is_dir() and not any(path.iterdir())]


def test_rows_around_alarms_are_captured_once(tmp_path: Path) -> None:  # 30
    kept = recorder(tmp_path, mode="alarms", before_s=10, after_s=5)
    for seq in range(60):
        kept.take(batch(seq))
        if seq == 20:  # rows to 104 are there
            kept.take_alert(alert(50, "pending", raised=False))
            kept.take_alert(alert(60, "cleared", raised=False))
            kept.take_alert(alert(100))
            kept.take_alert(alert(100))
            kept.take_alert(alert(101, "acknowledged"))
            kept.take_alert(alert(100, asset="elsewhere"))
        if seq == 22:
            kept.take_alert(alert(112, "cleared"))
        if seq == 50:
            kept.take_alert(alert(200))  # too late: only the rows that are still waiting
    kept.close()
    assert captured(tmp_path) == [*range(90, 118), *range(190, 206)]


def test_rows_before_an_alarm_wait_for_a_limited_time(tmp_path: Path) -> None:  # 30
    kept = recorder(tmp_path, mode="alarms", before_s=10, after_s=5)
    for seq in range(60):
        kept.take(batch(seq))
    kept.take_alert(alert(100))
    kept.take_alert(alert(299))
    kept.close()
    assert captured(tmp_path) == list(range(289, 300))


def test_service_takes_alerts_of_its_own_assets(tmp_path: Path) -> None:  # 30
    asset = {"source": "csv", "options": {"path": str(recorded(tmp_path)), **CSV}}
    bench = Bench(tmp_path, {"a": asset}, capture={"mode": "alarms", "before_s": 3, "after_s": 2})
    assert topics.ALERTS in bench.service.topics
    bench.run()
    bench.tell(topics.ALERTS, alert(12, asset="b"))
    bench.tell(topics.ALERTS, alert(12))
    bench.service.close()
    assert captured(tmp_path) == [9, 10, 11, 12, 13, 14]


@pytest.mark.parametrize(
    ("options", "batches", "lines"),
    [
        ({"segment_rows": 20}, [batch(i) for i in range(10)], [20, 20, 10]),
        ({"segment_s": 30}, [batch(i) for i in range(10)], [30, 20]),
        ({}, [batch(0), batch(1, stream="s2")], [5, 5]),
        ({}, [batch(0), batch(1, start=86_400 - 36_873)], [5, 5]),
        ({}, [batch(i) for i in range(10)], [50]),
    ],
)
def test_file_is_closed_at_its_limits(tmp_path: Path, options: dict[str, Any], batches: list[SensorBatch], lines: list[int]) -> None:  # 31
    kept = recorder(tmp_path, **options)
    for each in batches:
        kept.take(each)
    assert len(files(tmp_path)) == len(lines) - 1
    kept.close()
    assert [len(gzip.decompress(path.read_bytes()).splitlines()) - 2 for path in files(tmp_path)] == lines


@pytest.mark.parametrize(
    ("torn", "rows_left"),
    [
        (b"", 20),
        (b"1583748893000000000,4,20.1,2.", 20),
        (b"\0" * 4096, 20),
        (b"15837\0\0\0\n\0", 20),
    ],
)
def test_open_file_is_recovered_up_to_its_last_complete_line(tmp_path: Path, torn: bytes, rows_left: int) -> None:  # 31, 32
    kept = recorder(tmp_path)
    for seq in range(4):
        kept.take(batch(seq))
    (part,) = (tmp_path / "capture").rglob("*.part")
    with part.open("ab") as file:
        file.write(torn)
    part.with_suffix(".new").write_bytes(b"half a file")
    again = recorder(tmp_path)
    assert [path.name.split(".", 2)[2] for path in (tmp_path / "capture").rglob("*.*")] == ["csv.gz"] or len(files(tmp_path)) == 1
    assert captured(tmp_path) == list(range(rows_left)) and not list((tmp_path / "capture").rglob("*.new"))
    for seq in range(2, 6):  # the two last once more, then new ones
        again.take(batch(seq))
    again.close()
    assert captured(tmp_path) == list(range(30))


def test_file_with_a_heading_only_is_discarded(tmp_path: Path) -> None:  # 31
    kept = recorder(tmp_path)
    kept.take(batch(0))
    (part,) = (tmp_path / "capture").rglob("*.part")
    part.write_bytes(part.read_bytes()[:60])
    recorder(tmp_path)
    assert not [path for path in (tmp_path / "capture").rglob("*") if path.is_file()]


def test_kill_between_completing_a_file_and_removing_the_open_one_repeats_no_row(tmp_path: Path) -> None:  # 31
    kept = recorder(tmp_path)
    kept.take(batch(0))
    (part,) = (tmp_path / "capture").rglob("*.part")
    text = part.read_bytes()
    kept.close()
    part.write_bytes(text)
    recorder(tmp_path)
    assert captured(tmp_path) == [0, 1, 2, 3, 4] and not part.exists()


def test_a_killed_component_captures_each_row_once(tmp_path: Path) -> None:  # 32
    asset = {"source": "simulator", "options": {"speed": 0, "seed": 3, "duration_s": 300}}
    first = Bench(tmp_path, {"a": asset}, capture={"mode": "all"})
    sent = []
    for _ in range(3):
        first.tick()
        sent += first.wire.batches()
        first.answer(sent[-1])
    second = Bench(tmp_path, {"a": asset}, Clock(), capture={"mode": "all"})
    second.answer(sent[-1])
    sent += second.run()
    second.service.close()
    times = sorted({int(time) for each in sent for time in each.arrays()[0]})
    found = [gzip.decompress(path.read_bytes()).splitlines()[2:] for path in files(tmp_path)]
    assert [int(line.split(b",")[0]) for each in found for line in each] == times and len(times) == 300


def test_full_disk_delays_no_row_and_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:  # 33
    full = [False]

    def append(file: Any, text: bytes) -> None:
        if full[0]:
            file.write(text[:7])
            raise OSError(errno.ENOSPC, "No space left on device")
        file.write(text)

    monkeypatch.setattr(segment_store, "_append", append)
    bench = Bench(tmp_path, {"a": {"source": "simulator", "options": {"seed": 3}}}, capture={"mode": "all"})
    for second in range(60):
        full[0] = 20 <= second < 40
        bench.tick()
        bench.clock.now += 1
        if second == 35:
            (fault,) = bench.service.status().faults
            assert fault.startswith(f"capture: {tmp_path / 'capture'} cannot be written (No space left on device); rows are published")
    assert len(bench.wire.batches()) == 60 and bench.service.status().faults == ()
    assert len([line for line in caplog.messages if "cannot be written" in line]) == 1
    bench.service.close()
    heads = [json.loads(gzip.decompress(path.read_bytes()).split(b"\n", 1)[0][2:]) for path in files(tmp_path)]
    whole = sum(len(gzip.decompress(path.read_bytes()).splitlines()) - 2 for path in files(tmp_path))
    assert [head["lost_rows"] for head in heads] == [0, 60 - whole] and 20 <= 60 - whole <= 30


def test_folder_that_cannot_be_created_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:  # 33
    (tmp_path / "capture").write_text("a file is in the way")
    clock = Clock()
    kept = recorder(tmp_path, clock)
    for seq in range(4):
        kept.take(batch(seq))
    assert "cannot be written (File exists)" in kept.fault and kept.lost == {"a": 20} and len(caplog.messages) == 1
    (tmp_path / "capture").unlink()
    clock.now += 9
    kept.take(batch(4))
    assert kept.lost == {"a": 25} and not (tmp_path / "capture").exists()
    clock.now += 2
    kept.take(batch(5))
    assert kept.fault == "" and not kept.lost
    kept.close()
    assert captured(tmp_path) == [25, 26, 27, 28, 29]


def test_alert_without_a_time_starts_no_capture(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = recorder(tmp_path, mode="alarms")
    kept.take(batch(0))
    kept.take_alert(Alert(id="i", asset="a", stream="x", seq=0, model="m", model_version="1", state="active", at="noon"))
    kept.close()
    assert files(tmp_path) == [] and "starts no capture" in caplog.text


@pytest.mark.slow("fills the quota of the capture")
def test_open_files_and_one_more_fit_into_the_quota(tmp_path: Path) -> None:  # 29
    limits = Limits.of(1, 100_000, 1e9, 3)
    assert limits.segment * 3 <= limits.quota // 4
    kept = SegmentStore(tmp_path / "capture", limits)
    for seq in range(300):
        for asset in "abc":
            each = batch(seq, 100, asset)
            kept.write(each, segment_format.rows(each), 0)
            assert size(tmp_path) == kept.used <= limits.quota


def test_wrong_options_are_reported() -> None:
    with pytest.raises(OptionsError) as caught:
        read(SensorIngestionOptions, {"assets": {"a": {"source": "simulator"}}, "capture": {"mode": "some", "quota_mb": 0}})
    assert len(caught.value.faults) == 2 and "`capture.mode`" in caught.value.faults[0]


def test_one_wrong_time_does_not_discard_waiting_rows() -> None:  # 40
    window, channels = CaptureWindow(10 * SECOND, 5 * SECOND), ("x",)
    flags = np.array([[0], [0], [AHEAD], [0]], np.uint8)
    times = T0 + np.array([0, 1, 10**8, 2], np.int64) * SECOND
    made = SensorBatch.of("a", "s", 0, channels, ("V",), times, np.ones((4, 1)), flags)
    assert window.add(made, segment_format.rows(made)) == []
    assert [row.time for _, row in window.alarm(T0 + 2 * SECOND)] == [T0, T0 + SECOND, T0 + 2 * SECOND]


def test_waiting_rows_are_bounded_when_a_clock_was_set_back() -> None:  # 40
    window = CaptureWindow(10 * SECOND, 5 * SECOND)
    for second in [*range(1000, 1100), *range(500)]:
        made = SensorBatch.of("a", "s", second, ("x",), ("V",), np.array([T0 + second * SECOND]), np.ones((1, 1)))
        window.add(made, segment_format.rows(made))
    assert len(window._waiting) <= 10 + 60 + 1
    assert window.alarm(T0 + 499 * SECOND)
