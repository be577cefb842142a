"""The components' decoders and readers: sources, state on disk, configuration."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from alert_dispatcher.actions.expression import Expression, ExpressionError
from alert_dispatcher.actions.interlock import Interlock, InterlockOptions
from alert_dispatcher.options import AlertDispatcherOptions as DispatcherOptions
from alert_dispatcher.service import AlertDispatcher
from alert_dispatcher.state_db import StateDbError
from edgeml.errors import MessageError, OptionsError, SourceError
from edgeml.messages import Acknowledge, CommandAck, Permit, ReplayRequest, SensorBatch, decode, encode, topics
from edgeml.timestamps import Moment
from sensor_ingestion.asset_pipeline import AssetPipeline
from sensor_ingestion.capture import segment_format
from sensor_ingestion.capture.chunks import MAX_BYTES, Segment
from sensor_ingestion.capture.segment_store import Limits, SegmentStore
from sensor_ingestion.capture.uploader import STATE_FILE, Uploader
from sensor_ingestion.checkpoint import Checkpoint, SentBatch
from sensor_ingestion.command_handler import CommandHandler
from sensor_ingestion.command_journal import FILE, Answer, CommandJournal, JournalError
from sensor_ingestion.options import AssetOptions as AssetOptions
from sensor_ingestion.options import CaptureOptions, SensorIngestionOptions
from sensor_ingestion.quality import QualityChecker
from sensor_ingestion.service import SensorIngestion
from sensor_ingestion.sources.base import Clocks
from sensor_ingestion.sources.csv_replay import CsvReplay, CsvReplayOptions
from sensor_ingestion.sources.jsonl import Jsonl, JsonlOptions
from tests.components.alert_dispatcher.kit import ALARM
from tests.components.alert_dispatcher.kit import Bench as DispatcherBench
from tests.edgeml.samples import BATCH, SAMPLES, T0
from tests.fake_bus import FakeBus
from tests.fuzz.edgeml_targets import context, options_of
from tests.fuzz.target import Target, in_file, scratch

CLOCKS = Clocks(lambda: 100.0, lambda: T0)


def drained(source: Any) -> None:
    """Process all rows of a source: quality checks, message, checkpoint."""
    checker = QualityChecker(source.channels)
    for _ in range(50):
        block = source.read(100.0, 7)
        source.wait(100.0, 7)
        if block is not None:
            quality = checker.check(block.times, block.values)
            names, units = tuple(c.name for c in source.channels), tuple(c.unit for c in source.channels)
            encode(SensorBatch.of("a", "s", 0, names, units, block.times, block.values, quality))
            json.dumps([source.checkpoint(), checker.state()])
        elif source.finished or not getattr(source, "_lines", True):
            break
    json.dumps(source.faults)


def recording_read(**options: Any) -> Callable[[bytes], object]:
    def read(path: Path) -> None:
        expected = CsvReplayOptions(str(path), speed=0.0, **{"columns": {"flow": "Flow", "own": "b"}, **options})
        source = CsvReplay(expected, CLOCKS)
        try:
            drained(source)
            saved = source.checkpoint()
        finally:
            source.close()
        again = CsvReplay(expected, CLOCKS, saved)
        again.close()

    return in_file("r.csv", read)


def recording_text(times: tuple[str, ...], delimiter: str = ",", comma: bool = False) -> bytes:
    numbers = [f"{row},{row + 5}" if comma else f"{row}.{row + 5}" for row in range(len(times))]
    rows = [delimiter.join((time, number, "" if number.startswith("1") else number)) for time, number in zip(times, numbers, strict=True)]
    return ("\n".join((delimiter.join(("time", "Flow", "b")), *rows)) + "\n").encode()


ISO_TIMES = ("2020-03-09T10:14:33Z", "2020-03-09 10:14:34", "2020-03-09T10:14:35.5Z", "2020-03-09T12:14:36+02:00")


class Given:
    """A pipe that delivers the bytes in chunks, then ends."""

    name = "given"

    def __init__(self, data: bytes) -> None:
        self._parts: list[bytes | None] = [data[at : at + 65_536] for at in range(0, len(data), 65_536)]
        self._parts.append(None)

    def read(self) -> bytes | None:
        return self._parts.pop(0) if self._parts else b""

    def close(self) -> None:
        pass


def lines_read(data: bytes) -> None:
    source = Jsonl.__new__(Jsonl)
    Jsonl.__init__(source, JsonlOptions(fifo="/dev/null", units={"flow": "l/min", "x": ""}), CLOCKS)
    source._pipe.close()
    source._pipe = Given(data)  # type: ignore[assignment]
    for _ in range(3):
        drained(source)


JSON_LINES = (
    b'{"time": "2026-01-31T12:00:00Z", "flow": 121.5}\n{"time": 1769860801.5, "flow": 1, "x": null}\n{"flow": 2.5, "x": 1e30}\n'
    b'{"time": 1769860802, "x": "text"}\n\nno object\n{"time": 1, "flow": 1}'
)


def simulator(**changes: Any) -> AssetOptions:
    return AssetOptions(source="simulator", options={"speed": 0, "seed": 3, **changes}, max_in_flight=0)


def checkpoint_went_on(content: bytes) -> None:
    """An asset resumes from any content of its checkpoint file, continues reading and executes commands."""
    with scratch() as work:
        checkpoint = checkpoint_in(work)
        checkpoint.path.mkdir()
        (checkpoint.path / "0000000000.log").write_bytes(content)
        went_on(work)


def went_on(work: Path) -> None:
    journal = CommandJournal(work, lambda: T0)
    sent: list[bytes] = []
    running = AssetPipeline("a", simulator(), work, CLOCKS, sent.append, journal)
    running.tick(100.0)
    running.resend()
    list(running.replay(ReplayRequest(topic="")))
    running.close()
    journal.close()
    assert sent


def checkpoint_in(work: Path) -> Checkpoint:
    asset = simulator()
    return Checkpoint(work, "a", [asset.source, msgspec.to_builtins(asset.source_options())])


@cache
def checkpoints() -> list[bytes]:
    with scratch() as work:
        went_on(work)
        (path,) = checkpoint_in(work).path.iterdir()
        return [path.read_bytes()]


@cache
def checkpoint_trees() -> list[Any]:
    with scratch() as work:
        went_on(work)
        remembered = checkpoint_in(work).load()
        assert remembered is not None
        return [remembered.state]


def checkpoint_tree_went_on(content: Any) -> None:
    with scratch() as work:
        checkpoint = checkpoint_in(work)
        checkpoint.save(content, [SentBatch(0, T0, encode(BATCH))])
        went_on(work)


def former_checkpoint_went_on(content: bytes) -> None:
    """The checkpoint format of versions up to 0.1."""
    with scratch() as work:
        checkpoint = checkpoint_in(work)
        checkpoint.path.with_name(f"{checkpoint.path.name}.json").write_bytes(content)
        went_on(work)


def former_checkpoints() -> list[bytes]:
    asset = simulator()
    configuration = [asset.source, msgspec.to_builtins(asset.source_options())]
    digest = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()
    pending = [[0, T0, base64.b64encode(encode(BATCH)).decode()]]
    return [json.dumps({"digest": digest, "content": {**checkpoint_trees()[0], "pending": pending}}).encode()]


def journal_read(data: bytes) -> None:
    """A damaged command journal is set aside; a readable one is read or rejected."""
    with scratch() as work:
        (work / FILE).write_bytes(data)
        journal = CommandJournal(work, lambda: T0)
        try:
            handler = CommandHandler("a", {"stop": lambda: None}, journal, "stop")
            handler.take(SAMPLES["command"], Moment(T0, 0.0, ""), T0)  # type: ignore[arg-type]
            journal.find("a", "one"), journal.unfinished("a"), journal.lockout("a"), journal.lost_ns()  # noqa: B018
        finally:
            journal.close()


@cache
def journals() -> list[bytes]:
    with scratch() as work:
        journal = CommandJournal(work, lambda: T0)
        journal.begin("a", "one", "2020-03-09T10:14:33.000Z", lockout=True)
        journal.note("a", "two", Answer("refused", "2020-03-09T10:14:33.000Z", "why"))
        journal.close()
        return [(work / FILE).read_bytes()]


def commanded(data: bytes) -> None:
    """A command or a release, as SensorIngestion receives it."""
    message = decode(data)
    with scratch() as work:
        journal = CommandJournal(work, lambda: T0)
        try:
            handler = CommandHandler("pump-1", {"stop": lambda: None}, journal, "stop")
            kind = type(message).__name__
            if kind == "Command":
                answer = handler.take(message, Moment(T0, 5.0, "boot"), T0)  # type: ignore[arg-type]
                assert answer is not None
                decode(encode(answer))
            elif kind == "Release":
                handler.release(message)  # type: ignore[arg-type]
        finally:
            journal.close()


def commands() -> list[bytes]:
    command = SAMPLES["command"]
    dated = msgspec.structs.replace(command, issued_monotonic_s=4.0, boot="boot")
    return [encode(message) for message in (command, dated, SAMPLES["release"])]


def captured(data: bytes) -> None:
    """A truncated segment and a complete one."""
    whole = segment_format.recovered(data)
    assert whole == b"" or whole.endswith(b"\n")
    assert segment_format.last_seq(whole) >= -1
    batch = msgspec.structs.replace(BATCH, asset=data[:300].decode("latin-1"), channels=(data[:20].decode("latin-1"), "b"))
    assert len(segment_format.folder_name(batch.asset).encode()) <= 200
    assert segment_format.header(batch, 0).count(b"\n") == segment_format.HEADER_LINES


def segments() -> list[bytes]:
    return [segment_format.header(BATCH, 3) + b"".join(row.line for row in segment_format.rows(BATCH))]


def capture_store_recovered(data: bytes) -> None:
    """A folder of segments after a power failure: one open, one complete."""
    with scratch() as folder:
        day = folder / "pump-1" / "2020-03-09"
        day.mkdir(parents=True)
        name = segment_format.segment_name(T0, BATCH.stream, 7)
        (day / f"{name}.part").write_bytes(data)
        (day / f"{segment_format.segment_name(T0, 'other', 7)}.csv.gz").write_bytes(data)
        store = SegmentStore(folder, Limits.of(1.0, 100, 100.0, 1))
        assert store.last_seq("pump-1", BATCH.stream) >= -1
        assert store.last_seq("pump-1", "other") >= -1
        store.write(BATCH, segment_format.rows(BATCH), 0)
        store.close_all()


def cut(data: bytes) -> None:
    """A readable segment is sent completely or not at all."""
    segment, row = Segment.read(data), 0
    while row < len(segment.rows):
        payload, count = segment.chunk("t", "s", row)
        assert count >= 1 and len(payload) <= MAX_BYTES
        row += count


def uploaded(data: bytes) -> None:
    """With any content of the state file and a segment, the uploader continues."""
    with scratch() as folder:
        (folder / STATE_FILE).write_bytes(data)
        for name, content in (("a", data), ("b", gzip.compress(data, mtime=0)), ("c", gzip.compress(segments()[0], mtime=0))):
            (folder / f"{name}.csv.gz").write_bytes(content)
        recorder = Files(folder)
        upload = Uploader(CaptureOptions(mode="all", upload=True, upload_rate=100), folder, "t", recorder, FakeBus(), recorder.clock)
        for _ in range(2000):
            if not [path for path in recorder.unsent() if path.name not in upload.skipped]:
                break
            upload.tick(recorder.clock())
        assert not [path for path in recorder.unsent() if path.name not in upload.skipped] and "c.csv.gz" not in upload.skipped


class Files:
    """Files of a folder as `Uploader` sees them, and a clock that advances by itself."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._now = folder, 0.0

    def clock(self) -> float:
        self._now += 1.0
        return self._now

    def unsent(self) -> list[Path]:
        return sorted(self._folder.glob("?.csv.gz"))

    def sent(self, path: Path) -> None:
        path.unlink()


def batch_captured(data: bytes) -> None:
    """Any decodable batch can be captured, or is rejected because of its times."""
    message = decode(data)
    if isinstance(message, SensorBatch):
        written = segment_format.rows(message)
        head = segment_format.header(message, 0)
        if written:
            segment_format.day(written[0].time), segment_format.segment_name(written[0].time, message.stream, message.seq)  # noqa: B018
        assert head.count(b"\n") == segment_format.HEADER_LINES


def expression_judged(text: str) -> None:
    expression = Expression(text)
    expression.holds(dict.fromkeys(expression.channels, 1.0))


EXPRESSIONS = (
    "pressure > 2.0 and not door_open",
    '"motor temp" <= 80 or (flow < 1e3 and flow >= -5)',
    "1 < flow < 9 and True != door_open",
)


def interlocked(data: bytes) -> None:
    """Readings and permits from any sender, evaluated by an interlock."""
    options = InterlockOptions(allow_when="flow > 1 and not pressure", permit=True, max_age_s=5.0)
    interlock = Interlock(options)
    message = decode(data)
    topic = topics.INTERLOCK if isinstance(message, Permit) else topics.SENSORS
    interlock.take(topic, message, 100.0, T0)
    interlock.forbids(getattr(message, "asset", "pump-1"), 101.0, T0 + 10**9)


def configured(tree: Any) -> None:
    """SensorIngestion can run with any accepted configuration; of sources other than the simulator, only the options are read."""
    options = options_of(SensorIngestionOptions)(tree)
    with scratch() as work:
        stored = {name: asset for name, asset in options.assets.items() if asset.source == "simulator"}
        if not any(asset.enabled for asset in stored.values()):
            return
        capture = msgspec.structs.replace(options.capture, folder="")
        service = SensorIngestion(context(work), msgspec.structs.replace(options, assets=stored, capture=capture))
        try:
            service.start()
            service.tick(100.0)
            encode(service.status())
        finally:
            service.close()
            service._journal.close()


def sensor_configurations() -> list[Any]:
    simulated = {"speed": "0", "seed": 3.0, "interval_s": 0.5, "start_time": "2026-01-31T12:00:00Z", "duration_s": 30, "fault": "imbalance"}
    quality = {"max_gap_s": 3, "stopped_channel": "flow", "channels": {"flow": {"low": 0, "high": "300", "stuck_after_s": 0}}}
    return [
        {
            "assets": {
                "pump-1": {
                    "source": "simulator",
                    "options": simulated,
                    "quality": quality,
                    "batch_rows": 3,
                    "max_in_flight": "2",
                    "replay_buffer_s": 60,
                    "lockout_after": "stop",
                    "enabled": "true",
                }
            },
            "capture": {
                "mode": "all",
                "quota_mb": 2,
                "segment_rows": 10,
                "segment_s": 100,
                "before_s": 5,
                "after_s": 5,
                "upload": "true",
                "upload_confirmation": "echo",
                "upload_rate": 5,
            },
        },
        {
            "assets": {
                "a": {"source": "csv", "options": {"path": "x.csv", "layout": "skab", "speed": 0, "columns": {"flow": "F"}}},
                "b": {"source": "jsonl", "options": {"program": ["true", "x"], "units": {"flow": "l/min"}}},
            }
        },
    ]


def dispatcher_configured(tree: Any) -> None:
    options = options_of(DispatcherOptions)(tree)
    with scratch() as work:
        service = AlertDispatcher(context(work, "com.edgeml.AlertDispatcher"), options)
        service.start()
        service.tick(100.0)
        encode(service.status())
        service.close()


def dispatcher_configurations() -> list[Any]:
    command = {
        "action": "stop",
        "timeout_s": 5,
        "retry_s": "0.5",
        "retry_max_s": 2,
        "dry_run": False,
        "rate_limit": 3,
        "rate_period_s": 60,
        "interlock": {"allow_when": EXPRESSIONS[0], "assets": {"pump-2": ""}, "permit": True, "max_age_s": 3, "event_time": "false"},
    }
    policy = {"raise_at": 0.8, "votes": 2, "of": 4, "hold_s": 3}
    outbox = {"confirmation": {"alerts": "acknowledgement"}, "echo_s": 3, "max_mb": 0.5, "reserve_alerts": "3"}
    actions = {"log": {}, "command": command, "iot_core": {"enabled": True}}
    return [{"policy": policy, "actions": actions, "report": {"interval_s": 5}, "outbox": outbox}]


def dispatcher_heard(data: bytes) -> None:
    """Any message on each topic that AlertDispatcher subscribes to."""
    message = decode(data)
    with scratch() as work:
        bench = DispatcherBench(work)
        try:
            for topic in (*bench.service.topics, *bench.service.cloud_topics):
                bench.service.on_message(topic, message)
            bench.service.tick(bench.now)
        finally:
            bench.service.close()


def dispatcher_echoed(data: bytes) -> None:
    """Any message on a topic of IoT Core on which AlertDispatcher publishes."""
    with scratch() as work:
        bench = DispatcherBench(work)
        bench.mute = True
        bench.results(ALARM[:12])
        try:
            bench.service.on_echo(data)
            assert bench.service._store.outbox.counts[0] == 1, "nobody knows the id of this outbox"
        finally:
            bench.service.close()


def dispatcher_messages() -> list[bytes]:
    ours = [Acknowledge(alarm="a", by="x"), CommandAck(id="a1:stop", asset="pump-1", status="refused", detail="no")]
    return [
        *(encode(message) for message in ours),
        *(encode(SAMPLES[name]) for name in ("results", "results-why", "permit", "replay-start", "replay-request")),
    ]


def dispatcher_began(data: bytes) -> None:
    """AlertDispatcher starts with any content of its state file."""
    with scratch() as work:
        (work / "alarms.sqlite3").write_bytes(data)
        bench = DispatcherBench(work)
        bench.service.tick(bench.now)
        bench.service.close()


def dispatcher_began_with(rows: Any) -> None:
    """As `dispatcher_began`, with valid tables of invalid rows: {table: rows}."""
    with scratch() as work:
        (work / "alarms.sqlite3").write_bytes(dispatcher_files()[0])
        db = sqlite3.connect(work / "alarms.sqlite3")
        for table, entries in rows.items() if isinstance(rows, dict) else ():
            known = dispatcher_rows()[0].get(table)
            if known is None or not isinstance(entries, list):
                continue
            width = len(known[0])
            db.execute(f"DELETE FROM {table}")
            for row in entries:
                if isinstance(row, list) and len(row) == width:
                    try:
                        cells = [json.dumps(cell) if isinstance(cell, (dict, list)) else cell for cell in row]
                        db.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * width)})", cells)
                    except (sqlite3.Error, OverflowError, ValueError, RecursionError):
                        continue
        db.commit()
        db.close()
        bench = DispatcherBench(work)
        bench.results(ALARM)
        bench.service.tick(bench.now)
        bench.service.close()


@cache
def dispatcher_files() -> list[bytes]:
    with scratch() as work:
        bench = DispatcherBench(work)
        bench.mute = True  # so that an alert is in the outbox
        bench.results(ALARM[:12])
        bench.service.close()
        return [(work / "alarms.sqlite3").read_bytes()]


@cache
def dispatcher_rows() -> list[dict[str, list[list[Any]]]]:
    """Rows of the tables that the store decodes, with JSON texts as trees."""
    with scratch() as work:
        (work / "alarms.sqlite3").write_bytes(dispatcher_files()[0])
        db = sqlite3.connect(work / "alarms.sqlite3")
        found = {}
        for table in ("policies", "stream_positions", "alarms", "pending_alerts", "commands", "key_values"):
            rows = [[_tree(cell) for cell in row] for row in db.execute(f"SELECT * FROM {table}")]
            if rows:
                found[table] = rows
        db.close()
        return [found]


def _tree(cell: Any) -> Any:
    return json.loads(cell) if isinstance(cell, str) and cell[:1] in ("{", "[") else cell


def quality_resumed(state: Any) -> None:
    checker = QualityChecker(Jsonl(JsonlOptions(fifo="/dev/null"), CLOCKS).channels)
    checker.resume(state)
    checker.check(np.array([T0, T0 + 1]), np.ones((2, 8), "f4"))


TARGETS: dict[str, Target] = {
    "csv": Target(
        ("sensor_ingestion.sources.csv_replay.CsvReplay.read",),
        "bytes",
        recording_read(),
        (SourceError,),
        lambda: [recording_text(ISO_TIMES)],
    ),
    "csv-numbers": Target(
        ("sensor_ingestion.sources.csv_replay.CsvReplay.read",),
        "bytes",
        recording_read(time_unit="s", decimal=",", delimiter=";"),
        (SourceError,),
        lambda: [recording_text(("1583748873", "1583748874,5", "1.5e9", "-1"), ";", comma=True)],
    ),
    "jsonl": Target(("sensor_ingestion.sources.jsonl.Jsonl.read",), "bytes", lines_read, (), lambda: [JSON_LINES]),
    "checkpoint": Target(("sensor_ingestion.checkpoint.Checkpoint.load",), "bytes", checkpoint_went_on, (), checkpoints),
    "checkpoint-tree": Target(("sensor_ingestion.checkpoint.Checkpoint.load",), "tree", checkpoint_tree_went_on, (), checkpoint_trees),
    "checkpoint-former": Target(
        ("sensor_ingestion.checkpoint.Checkpoint.load",), "bytes", former_checkpoint_went_on, (), former_checkpoints
    ),
    "journal": Target(("sensor_ingestion.command_journal.CommandJournal.find",), "bytes", journal_read, (JournalError,), journals),
    "command": Target(("sensor_ingestion.command_handler.CommandHandler.take",), "bytes", commanded, (MessageError,), commands),
    "capture-lines": Target(
        ("sensor_ingestion.capture.segment_format.recovered", "sensor_ingestion.capture.segment_format.last_seq"),
        "bytes",
        captured,
        (),
        segments,
    ),
    "capture-batch": Target(
        ("sensor_ingestion.capture.segment_format.rows",),
        "bytes",
        batch_captured,
        (MessageError,),
        lambda: [encode(BATCH)],
    ),
    "capture-pieces": Target(("sensor_ingestion.capture.chunks.Segment.read",), "bytes", cut, (ValueError,), segments),
    "capture-upload": Target(
        ("sensor_ingestion.capture.uploader.Uploader",),
        "bytes",
        uploaded,
        (),
        lambda: [b'{"id":"00ff","no":3,"segment":"c","row":1}', segments()[0]],
    ),
    "capture-store": Target(
        ("sensor_ingestion.capture.segment_store.SegmentStore.last_seq",),
        "bytes",
        capture_store_recovered,
        (OSError,),
        lambda: [segments()[0], gzip.compress(segments()[0], mtime=0)],
    ),
    "options-sensors": Target(("edgeml.config.schema.read",), "tree", configured, (OptionsError, SourceError), sensor_configurations),
    "expression": Target(
        ("alert_dispatcher.actions.expression.Expression",),
        "text",
        expression_judged,
        (ExpressionError,),
        lambda: list(EXPRESSIONS),
    ),
    "interlock": Target(
        ("alert_dispatcher.actions.interlock.Interlock.take",),
        "bytes",
        interlocked,
        (MessageError,),
        lambda: [encode(SAMPLES["permit"]), encode(BATCH)],
    ),
    "options-dispatcher": Target(("edgeml.config.schema.read",), "tree", dispatcher_configured, (OptionsError,), dispatcher_configurations),
    "dispatcher-messages": Target(
        ("alert_dispatcher.service.AlertDispatcher.on_message",),
        "bytes",
        dispatcher_heard,
        (MessageError,),
        dispatcher_messages,
    ),
    "dispatcher-echo": Target(
        ("alert_dispatcher.service.AlertDispatcher.on_echo",),
        "bytes",
        dispatcher_echoed,
        (),
        lambda: [b'{"type":"alert","id":"a","entry":"0123456789abcdef-1-0123456789abcdef01234567"}', b'{"entry":"-1"}'],
    ),
    "dispatcher-state": Target(
        ("alert_dispatcher.state_db.StateDb.policies", "alert_dispatcher.state_db.StateDb.alerts_to_dispatch"),
        "bytes",
        dispatcher_began,
        (StateDbError,),
        dispatcher_files,
    ),
    "dispatcher-rows": Target(
        ("alert_dispatcher.state_db.StateDb.policies", "alert_dispatcher.state_db.StateDb.get_value"),
        "tree",
        dispatcher_began_with,
        (StateDbError,),
        dispatcher_rows,
    ),
}
