"""The source `csv`: README 2, 20 to 22."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeml.config.schema import read
from edgeml.errors import OptionsError, SourceError
from edgeml.parsing.csv_records import Lines
from edgeml.timestamps import SECOND, to_iso
from sensor_ingestion.sources.base import MAX_FAULTS
from sensor_ingestion.sources.csv_replay import CHUNK_LINES, CsvReplay, CsvReplayOptions
from sensor_ingestion.sources.input_faults import InputFaults

from .kit import CSV, T0, Clock, drain, recording, steady


def open_(path: Path, checkpoint: dict[str, Any] | None = None, **options: Any) -> CsvReplay:
    return CsvReplay(read(CsvReplayOptions, {"path": str(path), **CSV, **options}), Clock().pair, checkpoint)


def test_row_has_its_time_channels_and_units(tmp_path: Path) -> None:  # 1
    n = 2 * CHUNK_LINES + 7
    source = open_(recording(tmp_path / "a.csv", steady(n)))
    block = drain(source)
    assert [(channel.name, channel.unit) for channel in source.channels] == [("flow", "l/min"), ("current", "A")]
    assert np.array_equal(block.times, T0 + np.arange(n) * SECOND)
    assert np.array_equal(block.values[:, 0], (120 + np.arange(n) % 3).astype("f4")) and source.faults == []


@pytest.mark.parametrize(
    "time",
    [
        "2020-03-09 10:14:33",
        "2020-03-09T10:14:33Z",
        "2020-03-09T11:14:33+01:00",
        "2020-03-09T10:14:33.000",
    ],
)
def test_time_formats_are_read(tmp_path: Path, time: str) -> None:
    assert drain(open_(recording(tmp_path / "a.csv", [f"{time},1,2"]), time_unit="iso")).times.tolist() == [T0]


@pytest.mark.parametrize(("unit", "text"), [("s", f"{T0 // SECOND}.5"), ("ms", "1583748873500"), ("ns", "1583748873500000000")])
def test_numbers_are_read_as_times(tmp_path: Path, unit: str, text: str) -> None:
    times = drain(open_(recording(tmp_path / "a.csv", [f"{text},1,2"]), time_unit=unit)).times
    assert to_iso(times[0]) == "2020-03-09T10:14:33.500Z"


def test_benchmark_layout_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "datetime;Accelerometer1RMS;Accelerometer2RMS;Current;Pressure;Temperature;Thermocouple;Voltage;"
        "Volume Flow RateRMS;anomaly;changepoint\n2020-03-09 10:14:33;0.026;0.04;1.33;0.05;79.3;26.0;233.0;32.0;0.0;0.0\n"
    )
    source = CsvReplay(read(CsvReplayOptions, {"path": str(path), "layout": "skab", "speed": "0"}), Clock().pair)
    block = drain(source)
    assert dict(zip([channel.name for channel in source.channels], block.values[0].tolist(), strict=True)) == pytest.approx(
        {
            "vibration_1": 0.026,
            "vibration_2": 0.04,
            "current": 1.33,
            "pressure": 0.05,
            "motor_temperature": 79.3,
            "fluid_temperature": 26.0,
            "voltage": 233.0,
            "flow": 32.0,
        }
    )
    assert block.times.tolist() == [T0]


def test_semicolons_and_decimal_commas_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"time;Flow;Amps\n{T0 // SECOND};120,5;2,25\n")
    assert drain(open_(path, delimiter=";", decimal=",")).values.tolist() == [[120.5, 2.25]]


def test_start_and_limit_select_rows(tmp_path: Path) -> None:
    block = drain(open_(recording(tmp_path / "a.csv", steady(50)), start=10, limit=7))
    assert ((block.times - T0) // SECOND).tolist() == list(range(10, 17))


def test_true_speed_waits_for_gaps(tmp_path: Path) -> None:  # 2
    seconds = T0 // SECOND
    source = open_(recording(tmp_path / "a.csv", [f"{seconds + s},1,2" for s in (0, 1, 2, 40)]), speed=1)
    first = source.read(10.0, 5)
    assert first is not None and len(first.times) == 1 and source.wait(10.0, 5) == pytest.approx(1.0)
    later = source.read(13.0, 5)
    assert later is not None and len(later.times) == 2 and source.wait(13.0, 5) == pytest.approx(37.0)
    assert not source.finished and source.read(50.0, 5) is not None and source.finished


def test_restart_continues_with_the_next_row(tmp_path: Path) -> None:  # 10
    lines = steady(30)
    lines.insert(4, "")
    lines.insert(9, "late,1,2")
    path = recording(tmp_path / "a.csv", lines)
    first = open_(path, limit=25)
    head = first.read(0.0, 12)
    tail = drain(open_(path, json.loads(json.dumps(first.checkpoint())), limit=25))
    assert head is not None
    assert ((np.concatenate([head.times, tail.times]) - T0) // SECOND).tolist() == list(range(25))


def test_missing_column_is_refused(tmp_path: Path) -> None:  # 20
    path = recording(tmp_path / "a.csv", steady(3), header="time,Flow,Power")
    with pytest.raises(SourceError) as caught:
        open_(path)
    text = str(caught.value)
    assert str(path) in text and "no column 'Amps'" in text and "'time', 'Flow', 'Power'" in text and "`columns`" in text


@pytest.mark.parametrize("name", ["none.csv", "."])
def test_missing_file_is_refused(tmp_path: Path, name: str) -> None:  # 20
    with pytest.raises(SourceError, match="correct the path"):
        open_(tmp_path / name)


def test_text_in_place_of_a_number_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:  # 21
    lines = steady(10)
    lines[3] = f"{T0 // SECOND + 3},offline,2.0"
    path = recording(tmp_path / "a.csv", lines)
    with caplog.at_level(logging.WARNING):
        source = open_(path)
        block = drain(source)
    assert len(block.times) == 10 and np.isnan(block.values[3, 0]) and np.isnan(block.values).sum() == 1
    assert caplog.messages == source.faults and len(source.faults) == 1
    assert f"{path}:5, column 'Flow': 'offline' is no number" in source.faults[0]


def test_empty_cells_are_missing_without_a_report(tmp_path: Path) -> None:  # 21
    lines = [f"{T0 // SECOND},,2.0", f"{T0 // SECOND + 1},NaN,2.0", f"{T0 // SECOND + 2},1.0,"]
    source = open_(recording(tmp_path / "a.csv", lines))
    assert np.isnan(drain(source).values).tolist() == [[True, False], [True, False], [False, True]] and source.faults == []


def test_short_row_is_published_with_missing_values(tmp_path: Path) -> None:  # 21
    source = open_(recording(tmp_path / "a.csv", [*steady(2), f"{T0 // SECOND + 2},99"]))
    assert drain(source).values[2].tolist() == pytest.approx([99, np.nan], nan_ok=True)
    assert len(source.faults) == 1 and ":4: 2 cells are too few" in source.faults[0]


def test_row_without_a_time_is_skipped(tmp_path: Path) -> None:  # 21
    lines = steady(5)
    lines[2] = "noon,1,2"
    source = open_(recording(tmp_path / "a.csv", lines))
    assert ((drain(source).times - T0) // SECOND).tolist() == [0, 1, 3, 4]
    assert ":4, column 'time': 'noon' is no time in s" in source.faults[0]


def test_time_running_backwards_is_reported_once_a_stretch(tmp_path: Path) -> None:  # 22
    order = [*range(10), 5, 6, *range(10, 15), 3]
    lines = steady(20)
    source = open_(recording(tmp_path / "a.csv", [lines[i] for i in order]))
    assert ((drain(source).times - T0) // SECOND).tolist() == order
    assert len(source.faults) == 2
    assert ":12: time runs backwards, from 2020-03-09T10:14:42.000Z to 2020-03-09T10:14:38.000Z" in source.faults[0]
    assert ":19: time runs backwards" in source.faults[1]


def test_time_running_backwards_is_detected_across_chunks(tmp_path: Path) -> None:  # 22
    lines = [*steady(CHUNK_LINES), *steady(CHUNK_LINES, start=CHUNK_LINES - 3)]
    source = open_(recording(tmp_path / "a.csv", lines))
    drain(source)
    assert len(source.faults) == 1 and f":{CHUNK_LINES + 2}: time runs backwards" in source.faults[0]


def test_many_faults_do_not_flood_the_log(tmp_path: Path) -> None:  # 25
    source = open_(recording(tmp_path / "a.csv", [f"{T0 // SECOND + i},x,y" for i in range(500)]))
    assert len(drain(source).times) == 500
    assert len(source.faults) == MAX_FAULTS + 1 and "more faults follow" in source.faults[-1]


def test_invalid_bytes_cost_only_their_cell(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("\n".join(["time,Flow,Amps", *steady(5)]).replace("121", "\x00\xff", 1).encode("latin-1"))
    source = open_(path)
    block = drain(source)
    assert len(source.faults) == 1 and 4 <= len(block.times) <= 5 and np.isfinite(block.values[-1]).all()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"path": "a"}, "choose a `layout` (skab)"),
        ({"path": "a", "layout": "skap"}, "unknown layout; choose one of skab"),
        ({"path": "a", "layout": "skab", "sped": 2}, "did you mean `speed`"),
        ({"path": "a", "layout": "skab", "speed": -1}, "`o.speed` is -1"),
        ({"layout": "skab"}, "`o.path` is missing"),
    ],
)
def test_invalid_options_are_reported(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(OptionsError) as caught:
        read(CsvReplayOptions, options, "o")
    assert len(caught.value.faults) == 1 and expected in caught.value.faults[0]


def test_restart_does_not_read_earlier_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # 10
    path = recording(tmp_path / "a.csv", steady(5 * CHUNK_LINES))
    first = open_(path)
    head = [first.read(0.0, 100) for _ in range(40)]
    looked: list[int] = []
    following = Lines.next

    def counted(lines: Lines) -> Any:
        looked.append(lines.number)
        return following(lines)

    monkeypatch.setattr(Lines, "next", counted)
    second = open_(path, json.loads(json.dumps(first.checkpoint())))
    block = second.read(0.0, 100)
    assert all(block is not None for block in head) and block is not None and int(block.times[0]) == T0 + 4000 * SECOND
    assert min(looked[1:]) >= 3999 and len(looked) <= CHUNK_LINES + 2


def before(path: Path) -> None:
    """The same rows at other places in the file."""
    path.write_text(path.read_text().replace("time,", "time ,", 1))


def shorter(path: Path) -> None:
    path.write_text("\n".join(path.read_text().splitlines()[:20]) + "\n")


def rewritten(path: Path) -> None:
    path.write_text(path.read_text().replace(",12", ",13"))


@pytest.mark.parametrize(("change", "expected"), [(before, list(range(25, 60))), (shorter, []), (rewritten, list(range(25, 60)))])
def test_changed_file_is_counted_again(
    tmp_path: Path, change: Callable[[Path], None], expected: list[int], caplog: pytest.LogCaptureFixture
) -> None:  # 10
    path = recording(tmp_path / "a.csv", steady(60))
    first = open_(path)
    for _ in range(5):
        first.read(0.0, 5)
    saved = json.loads(json.dumps(first.checkpoint()))
    change(path)
    with caplog.at_level(logging.INFO):
        second = open_(path, saved)
    got: list[int] = []
    while not second.finished:
        block = second.read(0.0, 5)
        got += [] if block is None else ((block.times - T0) // SECOND).tolist()
    assert got == expected and "has changed since it was last read" in caplog.text


def test_checkpoint_without_a_position_is_read(tmp_path: Path) -> None:  # 10
    source = open_(recording(tmp_path / "a.csv", steady(30)), {"record": 12, "rows": 12, "latest": T0 + 11 * SECOND})
    assert ((drain(source).times - T0) // SECOND).tolist() == list(range(12, 30))


@pytest.mark.parametrize(
    "place",
    [
        {"start": -5, "end": 3, "crc": 0},
        {"start": 0, "end": 5, "crc": 1},
        {"start": 200, "end": 215, "crc": 1},
        {"start": 2**70, "end": 2**70 + 9, "crc": 1},
        {"start": 10**15, "end": 10**15 + 9, "crc": 1},
    ],
)
def test_checkpoint_with_an_invalid_position_is_read(tmp_path: Path, place: dict[str, int]) -> None:  # 10
    saved = {"record": 12, "rows": 12, "latest": T0 + 11 * SECOND, "place": place}
    assert ((drain(open_(recording(tmp_path / "a.csv", steady(30)), saved)).times - T0) // SECOND).tolist() == list(range(12, 30))


def test_skipping_is_divided_into_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # 10
    monkeypatch.setattr("sensor_ingestion.sources.csv_replay.MAX_LINES_AT_ONCE", 10)
    lines = steady(100)
    lines[60:90] = ["late,1,2"] * 30
    source = open_(recording(tmp_path / "a.csv", lines), start=35)
    reads, got = 0, []
    while not source.finished:
        block = source.read(0.0, 5)
        reads += block is None
        got += [] if block is None else ((block.times - T0) // SECOND).tolist()
        assert block is not None or source.finished or source.wait(0.0, 5) == 0.0
    assert got == [*range(35, 60), *range(90, 100)]
    assert reads >= 3, "skipped and bad lines do not block the component"


def test_each_kind_of_fault_is_reported_after_many_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:  # 25
    lines = [f"{T0 // SECOND + i},x,1" for i in range(2 * CHUNK_LINES)]
    lines += [f'{T0 // SECOND + 5000},"1,2', "noon,1,2", f"{T0 // SECOND + 5001},1,2,3"]
    clock = Clock()
    source = CsvReplay(read(CsvReplayOptions, {"path": str(recording(tmp_path / "a.csv", lines)), **CSV}), clock.pair)
    drain(source)
    assert len(source.faults) == MAX_FAULTS + 4 and caplog.messages == source.faults
    for word in ("a quote in it is not closed", "'noon' is no time", "4 cells where there are 3 headings"):
        assert sum(word in fault for fault in source.faults) == 1


def test_continuing_fault_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:  # 25
    clock = Clock()
    notes = InputFaults("a.csv", clock.monotonic)
    for i in range(1000):
        notes.add("number", f"fault {i}")
        clock.now += 1
    assert len(notes.sentences) == MAX_FAULTS + 1 and notes.count["number"] == 1000
    assert MAX_FAULTS + 10 < len(caplog.messages) < MAX_FAULTS + 20 and "times so far)" in caplog.messages[-1]


def test_file_in_utf_16_is_reported_as_such(tmp_path: Path) -> None:  # 20
    (tmp_path / "a.csv").write_bytes("time,Flow,Amps\n1,2,3\n".encode("utf-16"))
    with pytest.raises(SourceError, match="UTF-16; save it as CSV in UTF-8"):
        open_(tmp_path / "a.csv")


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("number", [0, 1, 7, 11])
def test_row_dated_years_ahead_blocks_nothing(tmp_path: Path, number: int, batch: int) -> None:  # 41
    lines = steady(30)
    lines[number] = lines[number].replace(str(T0 // SECOND + number), str(T0 // SECOND + 10**8))
    source, now, due = open_(recording(tmp_path / "a.csv", lines), speed=1), 0.0, []
    while not source.finished:
        now += source.wait(now, batch)
        block = source.read(now, batch)
        due += [now] * (0 if block is None else len(block.times))
        assert now < 60
    assert len(due) == 30 and due[-1] == pytest.approx(29, abs=4.5)


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("number", [0, 1, 7, 29])
def test_row_dated_years_back_blocks_nothing(tmp_path: Path, number: int, batch: int) -> None:  # 41
    lines = steady(30)
    lines[number] = lines[number].replace(str(T0 // SECOND + number), str(T0 // SECOND - 10**8))
    source, now, rows = open_(recording(tmp_path / "a.csv", lines), speed=1), 0.0, 0
    while not source.finished:
        now += source.wait(now, batch)
        block = source.read(now, batch)
        rows += 0 if block is None else len(block.times)
        assert now < 60
    assert rows == 30 and now > 24


def test_recording_whose_clock_was_set_back_keeps_its_pace(tmp_path: Path) -> None:  # 41
    lines = [*steady(20, start=10_000), *steady(20)]
    source, now, rows = open_(recording(tmp_path / "a.csv", lines), speed=1), 0.0, 0
    while not source.finished:
        now += source.wait(now, 5)
        block = source.read(now, 5)
        rows += 0 if block is None else len(block.times)
        assert now < 100
    assert rows == 40 and now > 28


def test_gap_of_hours_is_reproduced(tmp_path: Path) -> None:  # 2
    source = open_(recording(tmp_path / "a.csv", [*steady(10), *steady(20, start=7200)]), speed=1)
    now = 0.0
    while now < 20:
        source.read(now, 5)
        now += 1
    assert source.read(7199.0, 5) is None and source.read(7200.0, 5) is not None
