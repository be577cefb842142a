"""The component's work: README 1, 6 to 12, 19, 20, 25, 27."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgeml.config.schema import read
from edgeml.errors import OptionsError
from edgeml.messages import (
    BACKWARDS,
    GAP,
    MAX_PAYLOAD,
    MISSING,
    Command,
    KeepAlive,
    ReplayRequest,
    ReplayStart,
    SensorBatch,
    decode,
    encode,
    topics,
)
from edgeml.timestamps import SECOND, to_iso
from sensor_ingestion import checkpoint as checkpoint_module
from sensor_ingestion.checkpoint import Checkpoint
from sensor_ingestion.options import SensorIngestionOptions

from .kit import CSV, T0, Bench, Clock, answer, recording, rows, steady


def csv_asset(path: Path, **asset: Any) -> dict[str, Any]:
    return {"source": "csv", "options": {"path": str(path), **CSV}, **asset}


def skid(speed: float = 0, **asset: Any) -> dict[str, Any]:
    options = {"speed": speed, "seed": 3, **asset.pop("options", {})}
    return {"source": "simulator", "options": options, **asset}


def numbers(batches: list[SensorBatch]) -> list[int]:
    return [batch.seq for batch in batches]


def seconds(batches: list[SensorBatch]) -> list[int]:
    return ((rows(batches)[0] - T0) // SECOND).tolist()


def test_every_row_is_sent_once_and_numbered(tmp_path: Path) -> None:  # 1, 6, 9
    bench = Bench(tmp_path, {"a": csv_asset(recording(tmp_path / "a.csv", steady(103)))})
    batches = bench.run()
    assert seconds(batches) == list(range(103)) and numbers(batches) == list(range(21))
    assert batches[0].channels == ("flow", "current") and batches[0].units == ("l/min", "A")
    assert bench.service.status().state == "finished"


def test_true_speed_expects_no_answers(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"a": skid(speed=1)})
    assert bench.service.topics == (topics.COMMANDS, topics.REPLAY)
    for _ in range(30):
        bench.tick()
        bench.clock.now += 1
    assert len(bench.wire.batches()) == 30


def test_batches_in_flight_are_bounded(tmp_path: Path) -> None:  # 9
    bench = Bench(tmp_path, {"a": skid(max_in_flight=3)})
    assert topics.RESULTS in bench.service.topics
    for _ in range(5):
        bench.tick()
    first = bench.wire.batches()
    assert numbers(first) == [0, 1, 2]
    bench.tell(topics.RESULTS, answer(first[0], complete=False))
    bench.tick()
    assert bench.wire.batches() == []
    bench.answer(first[0])
    bench.tick()
    assert numbers(bench.wire.batches()) == [3]
    bench.answer(first[2])  # answers 1 too
    bench.tick()
    assert numbers(bench.wire.batches()) == [4, 5]


def test_zero_means_no_limit_in_flight(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"a": skid(max_in_flight=0, options={"duration_s": 200})})
    for _ in range(20):
        bench.tick()
    assert numbers(bench.wire.batches()) == list(range(40)) and bench.service.status().state == "finished"


def test_unanswered_batches_are_sent_again(tmp_path: Path) -> None:  # 9
    bench = Bench(tmp_path, {"a": skid(max_in_flight=2)})
    bench.tick()
    first = bench.wire.batches()
    for wait in (3.0, 6.0, 12.0, 15.0, 15.0):
        bench.clock.now += wait - 0.1
        assert 0 < bench.tick() <= 0.11 and bench.wire.batches() == []
        bench.clock.now += 0.1
        bench.tick()
        assert bench.wire.batches() == first
    bench.answer(first[0])
    bench.tick()
    assert numbers(bench.wire.batches()) == [2]


def test_answers_to_another_stream_or_asset_are_ignored(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"a": skid(max_in_flight=1)})
    bench.tick()
    batch = bench.wire.batches()[0]
    for change in ({"stream": "other"}, {"asset": "b"}):
        fields = {name: getattr(batch, name) for name in batch.__struct_fields__} | change
        bench.answer(SensorBatch(**fields))
    bench.tick()
    assert bench.wire.batches() == []


def test_replay_request_is_answered(tmp_path: Path) -> None:  # 7
    bench = Bench(tmp_path, {"a": skid(options={"duration_s": 100}, replay_buffer_s=50), "b": skid(options={"duration_s": 10})})
    sent = {name: [batch for batch in bench.run() if batch.asset == name] for name in ("a",)}["a"]
    bench.tell(topics.REPLAY, ReplayRequest(topic=topics.SENSORS, asset="a", since=T0 + 69 * SECOND))
    messages = bench.wire.take(topics.SENSORS)
    assert (
        messages[0]
        == ReplayStart(
            asset="a",
            stream=sent[0].stream,
            first=14,
            oldest=9,
            last=19,
            newest=19,
        )
        and messages[1:] == sent[14:]
    )
    bench.tell(topics.REPLAY, ReplayRequest(topic=topics.SENSORS, asset="a"))
    assert bench.wire.take(topics.SENSORS)[0].first in (9, 10)  # older rows than replay_buffer_s are gone
    bench.tell(topics.REPLAY, ReplayRequest(topic=topics.SENSORS))
    assert {message.asset for message in bench.wire.take(topics.SENSORS)} == {"a", "b"}
    bench.tell(topics.REPLAY, ReplayRequest(topic=topics.RESULTS))
    assert bench.wire.local == []


def test_messages_fit_with_any_batch_rows(tmp_path: Path) -> None:  # 1
    bench = Bench(tmp_path, {"a": skid(batch_rows=1000, options={"duration_s": 1000})})
    while bench.service.status().state != "finished":
        bench.tick()
        payloads = [payload for topic, payload in bench.wire.local if topic == topics.SENSORS]
        assert payloads and all(len(payload) <= MAX_PAYLOAD for payload in payloads)
        assert len(payloads[0]) > 5500 or bench.service.status().state == "finished"
        for batch in bench.wire.batches():
            bench.answer(batch)


def test_row_that_is_too_large_is_refused(tmp_path: Path) -> None:
    units = {f"channel-{i}": "" for i in range(600)}
    with pytest.raises(OptionsError, match="split the channels among several assets"):
        Bench(tmp_path, {"a": {"source": "jsonl", "options": {"fifo": str(tmp_path / "in"), "units": units}}})


def killed_and_restarted(tmp_path: Path, assets: dict[str, Any], ticks: int) -> tuple[list[SensorBatch], list[SensorBatch]]:
    """Batches sent before a kill (only the first was answered), and by the next process; nothing was closed."""
    first = Bench(tmp_path, assets)
    before = []
    for _ in range(ticks):
        first.tick()
        before += first.wire.batches()
        if before:
            first.answer(before[0])
    second = Bench(tmp_path, assets, Clock())
    again = second.wire.batches()
    for batch in again:
        second.answer(batch)
    return before, again + second.run()


@pytest.mark.parametrize("ticks", [1, 2, 3, 7])
def test_kill_and_restart_lose_and_change_no_row(tmp_path: Path, ticks: int) -> None:  # 6, 8
    asset = skid(options={"duration_s": 300, "fault": "valve", "fault_start_s": 10})
    (tmp_path / "unfaulted").mkdir()
    expected = rows(Bench(tmp_path / "unfaulted", {"a": asset}).run())
    before, after = killed_and_restarted(tmp_path, {"a": asset}, ticks)
    assert {batch.stream for batch in before + after} == {before[0].stream}
    by_number = {batch.seq: batch for batch in before}
    assert all(by_number[batch.seq] == batch for batch in after if batch.seq in by_number)  # the same under the same number
    all_of_them = by_number | {batch.seq: batch for batch in after}
    assert sorted(all_of_them) == list(range(60))
    got = rows([all_of_them[i] for i in range(60)])
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(got, expected, strict=True))


def test_restart_in_true_speed_sends_the_latest_batch_again(tmp_path: Path) -> None:  # 8
    first = Bench(tmp_path, {"a": skid(speed=1)})
    for _ in range(20):
        first.tick()
        first.clock.now += 1
    before = first.wire.batches()
    second = Bench(tmp_path, {"a": skid(speed=1)})
    assert second.wire.batches() == before[-15:]
    second.tick()
    assert numbers(second.wire.batches()) == [20]


@pytest.mark.parametrize("segment_bytes", [1000, 1_000_000])  # one batch in a segment, or all
def test_restart_sends_unanswered_batches_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, segment_bytes: int) -> None:  # 8
    monkeypatch.setattr(checkpoint_module, "SEGMENT_BYTES", segment_bytes)
    asset = skid(max_in_flight=12, replay_buffer_s=1)
    first = Bench(tmp_path, {"a": asset})
    for _ in range(3):
        first.tick()
    sent = first.wire.batches()
    assert numbers(sent) == list(range(12))
    first.answer(sent[4])
    for _ in range(2):
        first.tick()
    sent += first.wire.batches()
    second = Bench(tmp_path, {"a": asset})
    assert second.wire.batches() == sent[5:] and len(sent) == 17
    for batch in sent[5:]:
        second.answer(batch)
    for _ in range(2):
        second.tick()
    assert numbers(second.wire.batches()) == list(range(17, 25))
    assert len(segments(tmp_path)) < 20


def test_batch_is_sent_after_a_kill_between_checkpoint_and_publish(tmp_path: Path) -> None:  # 8
    class Dead(Exception):
        pass

    first = Bench(tmp_path, {"a": skid()})

    def die(topic: str, payload: bytes) -> bool:
        raise Dead

    first.wire.publish = die  # type: ignore[method-assign]
    with pytest.raises(Dead):
        first.tick()
    second = Bench(tmp_path, {"a": skid()})
    assert seconds(second.wire.batches()) == [0, 1, 2, 3, 4]


def test_quality_checks_continue_after_a_restart(tmp_path: Path) -> None:  # 8
    lines = [f"{T0 // SECOND + i},77,{2.0 + 0.1 * (i % 5)}" for i in range(200)]
    asset = {"a": csv_asset(recording(tmp_path / "a.csv", lines))}
    before, after = killed_and_restarted(tmp_path, asset, 9)
    together = {batch.seq: batch for batch in before + after}
    quality = rows([together[i] for i in range(40)])[2]
    assert np.flatnonzero(quality[:, 0]).tolist() == list(range(120, 200))


def test_first_row_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    bench = Bench(tmp_path, {"a": skid()})
    bench.tick()
    bench.tick()
    (line,) = [each.getMessage() for each in caplog.records if "the first row is of" in each.getMessage()]
    assert line.startswith("a: the first row is of 20") and "flow " in line and " l/min" in line


def test_another_configuration_starts_from_the_beginning(tmp_path: Path) -> None:  # 6
    first = Bench(tmp_path, {"a": skid()})
    first.tick()
    stream = first.wire.batches()[0].stream
    same = Bench(tmp_path, {"a": skid(replay_buffer_s=10)})  # not the source's
    assert same.wire.batches()[0].stream == stream
    other = Bench(tmp_path, {"a": skid(options={"seed": 4})})
    assert other.wire.batches() == []
    other.tick()
    assert other.wire.batches()[0].stream != stream


def segments(work: Path) -> list[Path]:
    return sorted(work.glob("asset-*/*.log"))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff" * 100, b"\0" * 100])
def test_unreadable_checkpoint_restarts_from_the_beginning(tmp_path: Path, content: bytes) -> None:  # 11
    bench = Bench(tmp_path, {"a": skid()})
    bench.tick()
    (path,) = segments(tmp_path)
    path.write_bytes(content)
    again = Bench(tmp_path, {"a": skid()})
    again.tick()
    assert numbers(again.wire.batches()) == [0, 1, 2, 3]


def test_invalid_checkpoint_is_ignored(tmp_path: Path) -> None:  # 11
    bench = Bench(tmp_path, {"a": skid()})
    bench.tick()
    expected = read(SensorIngestionOptions, {"assets": {"a": skid()}}).assets["a"]
    checkpoint = Checkpoint(tmp_path, "a", [expected.source, msgspec.to_builtins(expected.source_options())])
    remembered = checkpoint.load()
    assert remembered is not None
    checkpoint.save({**remembered.state, "source": {"row": 1, "start_ns": T0, "ship": {}}})
    again = Bench(tmp_path, {"a": skid()})
    again.tick()
    assert numbers(again.wire.batches()) == [0, 1, 2, 3]


def test_failed_write_of_a_checkpoint_is_reported_and_retried(tmp_path: Path) -> None:  # 11
    bench = Bench(tmp_path, {"a": skid()})
    path = Checkpoint(tmp_path, "a", None).path
    path.write_text("")
    bench.tick()
    assert numbers(bench.wire.batches()) == [0, 1, 2, 3]
    assert "cannot be written" in bench.service.status().faults[0]
    path.unlink()
    bench.answer(decode(encode(answer_target(bench))))  # type: ignore[arg-type]
    bench.tick()
    assert bench.service.status().faults == ()
    # Unwritten records are written with the next one.
    again = Bench(tmp_path, {"a": skid()})
    again.tell(topics.REPLAY, ReplayRequest(topic=topics.SENSORS))
    assert sorted({message.seq for message in again.wire.batches()}) == [0, 1, 2, 3, 4, 5, 6, 7]


def answer_target(bench: Bench) -> SensorBatch:
    bench.clock.now += 3
    bench.tick()
    return bench.wire.batches()[-1]


def lines(work: Path, **asset: Any) -> dict[str, Any]:
    return {"a": {"source": "jsonl", "options": {"fifo": str(work / "in"), "units": {"flow": "l/min"}}, **asset}}


def written(bench: Bench, work: Path, *times: int) -> list[SensorBatch]:
    with (work / "in").open("w") as writer:
        for at in times:
            writer.write(f'{{"time": {T0 // SECOND + at}, "flow": 120}}\n')
            writer.flush()
            bench.tick()
    return bench.wire.batches()


def test_lines_survive_the_process_in_a_new_stream(tmp_path: Path) -> None:  # 7, 10
    first = Bench(tmp_path, lines(tmp_path, replay_buffer_s=60))
    before = written(first, tmp_path, *range(100))
    assert seconds(before) == list(range(100)) and numbers(before) == list(range(100))
    second = Bench(tmp_path, lines(tmp_path, replay_buffer_s=60))  # the first was killed
    assert second.wire.batches() == []  # unasked, it would look like a restarted source
    after = written(second, tmp_path, 100, 101)
    assert numbers(after) == [100, 101]
    assert {batch.stream for batch in after} == {after[0].stream} != {before[0].stream}
    third = Bench(tmp_path, lines(tmp_path, replay_buffer_s=60))
    third.wire.batches()
    third.tell(topics.REPLAY, ReplayRequest(topic=topics.SENSORS, since=T0 + 50 * SECOND))
    replaying, *replayed = third.wire.take(topics.SENSORS)
    assert isinstance(replaying, ReplayStart) and replaying.first == 51
    assert seconds(replayed) == list(range(51, 102)) and {batch.stream for batch in replayed} == {replaying.stream}


def test_lines_are_not_written_without_a_replay_buffer(tmp_path: Path) -> None:  # 10
    bench = Bench(tmp_path, lines(tmp_path, replay_buffer_s=0))
    assert seconds(written(bench, tmp_path, 0, 1)) == [0, 1]
    bench.service.close()
    assert segments(tmp_path) == []


@pytest.mark.parametrize("hz", [1, 5])
def test_rows_read_during_a_broker_outage_survive_a_kill(tmp_path: Path, hz: int) -> None:  # 7, 8
    asset = skid(speed=1, options={"interval_s": 1 / hz}, batch_rows=1)
    first = Bench(tmp_path, {"a": asset})

    def run(bench: Bench, seconds: int) -> None:
        for _ in range(seconds * hz):
            bench.tick()
            bench.clock.now += 1 / hz

    run(first, 20)
    heard = first.wire.batches()
    first.wire.publish = lambda topic, payload: False  # type: ignore[method-assign]
    run(first, 40)
    second = Bench(tmp_path, {"a": asset}, first.clock)
    second.wire.batches()
    second.tell(topics.REPLAY, ReplayRequest(topic=topics.SENSORS, since=heard[-1].arrays()[0][-1].item()))
    missed = second.wire.batches()
    assert numbers(heard + missed) == list(range(60 * hz))
    run(second, 1)
    assert numbers(second.wire.batches()) == [60 * hz + number for number in range(hz)]


def test_checkpoint_of_an_older_version_is_read(tmp_path: Path) -> None:  # 8
    bench = Bench(tmp_path, {"a": skid(max_in_flight=2)})
    bench.tick()
    before = bench.wire.batches()
    expected = read(SensorIngestionOptions, {"assets": {"a": skid()}}).assets["a"]
    configuration = [expected.source, msgspec.to_builtins(expected.source_options())]
    checkpoint = Checkpoint(tmp_path, "a", configuration)
    remembered = checkpoint.load()
    assert remembered is not None
    state = {key: value for key, value in remembered.state.items() if key != "answered"}
    state["pending"] = [[sent.seq, sent.end_ns, base64.b64encode(sent.payload).decode()] for sent in remembered.batches]
    checkpoint.delete()
    former = tmp_path / f"{checkpoint.path.name}.json"
    digest = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()
    former.write_text(json.dumps({"digest": digest, "content": state}))
    again = Bench(tmp_path, {"a": skid(max_in_flight=2)})
    assert again.wire.batches() == before
    again.answer(before[0])
    again.tick()
    assert numbers(again.wire.batches()) == [2] and not former.exists()


def command(id: str, action: str, asset: str = "a") -> Command:
    return Command(id=id, asset=asset, action=action, issued_at=to_iso(T0), timeout_s=10)


def test_machine_executes_stop_restore_and_start(tmp_path: Path) -> None:  # 12, 18
    bench = Bench(tmp_path, {"a": skid(options={"fault": "valve", "fault_start_s": 20, "fault_ramp_s": 5})})

    def flow() -> np.ndarray:
        got = []
        for _ in range(20):
            bench.tick()
            for batch in bench.wire.batches():
                got.append(batch)
                bench.answer(batch)
        return rows(got)[1][:, -1]

    assert flow()[-10:].mean() < 90
    bench.tell(topics.COMMANDS, command("c1", "stop"))
    ack = bench.wire.take(topics.COMMANDS_ACK)[0]
    assert (ack.id, ack.asset, ack.status) == ("c1", "a", "executed") and ack.at > to_iso(T0)
    assert (flow()[10:] == 0).all()
    bench.tell(topics.COMMANDS, command("c2", "restore"))
    bench.tell(topics.COMMANDS, command("c3", "start"))
    assert flow()[-10:].mean() > 105
    bench.tell(topics.COMMANDS, command("c1", "stop"))
    assert bench.wire.take(topics.COMMANDS_ACK)[-1] == ack and flow()[-10:].mean() > 105


def test_command_and_its_effect_survive_a_kill(tmp_path: Path) -> None:  # 8, 12
    first = Bench(tmp_path, {"a": skid()})
    first.tick()
    first.tell(topics.COMMANDS, command("c1", "stop"))
    ack = first.wire.take(topics.COMMANDS_ACK)[0]
    second = Bench(tmp_path, {"a": skid()})
    batches = second.wire.batches()
    assert len(batches) == 4 and rows(batches)[1][:, -1].min() > 100  # as they were before the stop
    for batch in batches:
        second.answer(batch)
    second.tell(topics.COMMANDS, command("c1", "stop"))
    assert second.wire.take(topics.COMMANDS_ACK) == [ack]
    second.tick()
    assert rows(second.wire.batches())[1][-5:, -1].max() == 0


def test_commands_to_others_and_to_recordings_are_not_answered(tmp_path: Path) -> None:  # 15
    bench = Bench(tmp_path, {"a": csv_asset(recording(tmp_path / "a.csv", steady(5)))})
    bench.tell(topics.COMMANDS, command("c1", "stop"))
    bench.tell(topics.COMMANDS, command("c2", "stop", asset="elsewhere"))
    assert bench.wire.take(topics.COMMANDS_ACK) == []


def test_invalid_cells_and_times_affect_no_other_rows(tmp_path: Path) -> None:  # 21, 22
    lines = steady(30)
    lines[4] = f"{T0 // SECOND + 4},offline,2.0"
    lines[10], lines[11] = lines[11], lines[10]
    bench = Bench(tmp_path, {"a": csv_asset(recording(tmp_path / "a.csv", lines))})
    times, values, quality = rows(bench.run())
    assert len(times) == 30 and quality[4].tolist() == [MISSING, 0] and quality[11].tolist() == [BACKWARDS, BACKWARDS]
    assert np.count_nonzero(quality) == 3
    status = bench.service.status()
    assert len(status.faults) == 2 and "a.csv:6" in status.faults[0] and "a.csv:13" in status.faults[1]


def test_good_assets_run_beside_bad_ones(tmp_path: Path) -> None:  # 20
    good = recording(tmp_path / "good.csv", steady(10))
    bad = recording(tmp_path / "bad.csv", steady(10), header="time,Flow,Power")
    assets = {"a": csv_asset(tmp_path / "none.csv"), "b": csv_asset(bad), "c": csv_asset(good)}
    bench = Bench(tmp_path, assets)
    assert seconds(bench.run()) == list(range(10))
    faults = bench.service.status().faults
    assert len(faults) == 2 and "none.csv" in faults[0] and "Amps" in faults[1]
    del assets["c"]
    with pytest.raises(OptionsError) as caught:
        Bench(tmp_path, assets)
    assert len(caught.value.faults) == 2


def test_quality_of_an_unknown_channel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="`assets.a.quality.channels` names torque.*vibration_1"):
        Bench(tmp_path, {"a": skid(quality={"channels": {"torque": {"high": 3}}})})


@pytest.mark.parametrize("wrong", [{"lockout_after": "stop"}, {"quality": {"channels": {"torque": {"high": 3}}}}])
def test_source_of_a_refused_asset_is_closed(tmp_path: Path, wrong: dict[str, Any]) -> None:
    fifo = tmp_path / "fifo"
    with pytest.raises(OptionsError, match="torque|lockout_after"):
        Bench(tmp_path, {"a": {"source": "jsonl", "options": {"fifo": str(fifo)}, **wrong}})
    with pytest.raises(OSError, match=os.strerror(errno.ENXIO)):  # nobody reads it
        os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)


def test_quality_can_be_set_by_channel(tmp_path: Path) -> None:  # 3
    quality = {"channels": {"flow": {"high": "100"}, "voltage": {"low": 229.0}}}
    bench = Bench(tmp_path, {"a": skid(options={"duration_s": 100}, quality=quality)})
    flags = rows(bench.run())[2]
    assert flags[:, 7].all() and 0 < np.count_nonzero(flags[:, 6]) < 100 and not flags[:, :6].any()


def test_all_faults_of_a_configuration_are_reported_with_their_keys() -> None:  # 19
    with pytest.raises(OptionsError) as caught:
        read(
            SensorIngestionOptions,
            {
                "assets": {
                    "a": {"source": "opcua"},
                    "b": {"source": "simulator", "options": {"sped": 3, "seed": -1}, "batch_rows": 0},
                    "c": {"source": "csv", "options": {}, "colour": 1},
                    "d": {"source": "simulator", "quality": {"channels": {"flow": {"low": 5, "high": 4}}}},
                }
            },
        )
    text = "\n".join(caught.value.faults)
    for expected in ("`assets.b.batch_rows` is 0", "`assets.c.colour`", "assets.d.quality.channels.flow"):
        assert expected in text
    with pytest.raises(OptionsError) as caught:
        read(
            SensorIngestionOptions, {"assets": {"a": {"source": "opcua"}, "b": {"source": "simulator", "options": {"sped": 3, "seed": -1}}}}
        )
    assert len(caught.value.faults) == 3
    assert "`assets.a.source` is 'opcua', an unknown source; choose one of csv, jsonl, simulator" in caught.value.faults[0]
    assert all(f"`assets.b.options.{key}`" in "\n".join(caught.value.faults) for key in ("sped", "seed"))


def test_configuration_without_assets_is_refused() -> None:
    with pytest.raises(OptionsError, match="no enabled asset"):
        read(SensorIngestionOptions, {})


def test_disabled_asset_is_not_read(tmp_path):
    bench = Bench(tmp_path, {"a": skid(), "b": {**skid(), "enabled": "false"}})
    bench.tick()
    assert {batch.asset for batch in bench.wire.batches()} == {"a"}
    with pytest.raises(OptionsError, match="no enabled asset"):
        Bench(tmp_path, {"b": {**skid(), "enabled": False}})


def test_silent_asset_sends_its_last_number_every_2_s(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"a": csv_asset(recording(tmp_path / "a.csv", steady(23)))})
    last = bench.run()[-1]
    said: list[KeepAlive] = []
    for _ in range(12):
        bench.clock.now += 0.5
        bench.tick()
        said += [message for message in bench.wire.take(topics.SENSORS) if isinstance(message, KeepAlive)]
    assert 2 <= len(said) <= 3
    assert set(said) == {KeepAlive(asset="a", stream=last.stream, seq=last.seq)}


def test_health_has_the_row_ages_and_the_lag(tmp_path: Path) -> None:  # 27
    bench = Bench(
        tmp_path,
        {
            "live": skid(speed=1),
            "done": csv_asset(recording(tmp_path / "a.csv", steady(5))),
            "gone": csv_asset(tmp_path / "none.csv"),
        },
    )
    for batch in bench.run():
        bench.answer(batch)
    bench.clock.now += 7
    metrics = bench.service.metrics()
    assert set(metrics.row_age_s) == {"live", "gone"} and metrics.row_age_s["gone"] == 7
    assert 6.9 <= metrics.row_age_s["live"] <= 7.1
    assert metrics.lag_s is not None and metrics.queues == {"unanswered batches": (0, 0)} and metrics.drops == {}


def test_rows_after_a_downtime_have_the_present_time_behind_a_gap(tmp_path: Path) -> None:  # 3, 8, 16
    clock = Clock()
    first = Bench(tmp_path, {"a": skid(speed=1)}, clock)
    for _ in range(20):
        first.tick()
        clock.now += 1
    before = first.wire.batches()
    clock.now += 600  # killed: nothing is closed
    second = Bench(tmp_path, {"a": skid(speed=1)}, clock)
    again = second.wire.batches()
    for _ in range(5):
        second.tick()
        clock.now += 1
    after = second.wire.batches()
    assert again == before[-15:] and numbers(after) == list(range(20, 25)) and {batch.stream for batch in after} == {before[0].stream}
    times, _, quality = rows(after)
    assert (quality[0] == GAP).all() and not quality[1:].any(), "a gap, and never time running backwards"
    assert times.tolist() == [T0 + (620 + i) * SECOND for i in range(5)]
