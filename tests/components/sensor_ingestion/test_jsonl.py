"""The source `jsonl`, with a real FIFO and real child processes: README 10, 23, 24."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeml.config.schema import read
from edgeml.errors import OptionsError, SourceError
from edgeml.parsing.readings import time_ns
from edgeml.runtime.subprocess_env import CREDENTIALS
from edgeml.timestamps import SECOND
from sensor_ingestion.sources.base import RowBlock
from sensor_ingestion.sources.jsonl import READ_BYTES, Jsonl, JsonlOptions
from tests.patience import PATIENCE_S

from .kit import T0, Clock

UNITS = {"force": "kN", "stroke": "mm"}


def open_(clock: Clock | None = None, **options: Any) -> Jsonl:
    return Jsonl(read(JsonlOptions, {"units": UNITS, **options}), (clock or Clock()).pair)


def rows(source: Jsonl, n: int, most: int = 5, deadline_s: float = PATIENCE_S) -> RowBlock:
    """The first n rows, as soon as they have come."""
    blocks: list[RowBlock] = []
    give_up = time.monotonic() + deadline_s
    while sum(len(block.times) for block in blocks) < n:
        assert time.monotonic() < give_up, f"only {blocks} in {deadline_s} s; {source.faults}"
        block = source.read(0.0, most)
        if block is not None:
            blocks.append(block)
    return RowBlock(*(np.concatenate(column) for column in zip(*blocks, strict=True)))


class Fifo:
    """A source on a FIFO and a writer at its other end."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self.source = open_(clock, fifo=str(path))
        self.path = path
        self.writer = os.open(path, os.O_WRONLY)

    def write(self, text: str) -> None:
        os.write(self.writer, text.encode())


@pytest.fixture
def fifo(tmp_path: Path) -> Any:
    pipe = Fifo(tmp_path / "in")
    yield pipe
    pipe.source.close()


def test_fifo_is_created(fifo: Fifo) -> None:
    assert stat.S_ISFIFO(fifo.path.stat().st_mode)


def test_lines_become_rows(fifo: Fifo) -> None:
    fifo.write('{"time": "2020-03-09T10:14:33Z", "force": 12.5, "stroke": 3}\n{"time": 1583748874.5, "force": 13}\n')
    block = rows(fifo.source, 2)
    assert block.times.tolist() == [T0, T0 + 1_500_000_000]
    assert block.values[0].tolist() == [12.5, 3] and block.values[1, 0] == 13 and np.isnan(block.values[1, 1])
    assert [(channel.name, channel.unit) for channel in fifo.source.channels] == list(UNITS.items())
    assert fifo.source.faults == []


def test_row_without_a_time_has_the_present_time(tmp_path: Path) -> None:
    clock = Clock()
    pipe = Fifo(tmp_path / "in", clock)
    clock.now += 7
    pipe.write('{"force": 1}\n')
    assert rows(pipe.source, 1).times.tolist() == [T0 + 7 * SECOND]
    pipe.source.close()


def test_half_a_line_waits_for_its_other_half(fifo: Fifo) -> None:
    fifo.write('{"time": 1583748873, "for')
    assert fifo.source.read(0.0, 5) is None and fifo.source.faults == []
    fifo.write('ce": 2}\n')
    assert rows(fifo.source, 1).values[0, 0] == 2


def test_last_line_of_a_closed_writer_counts_and_another_writer_may_open(fifo: Fifo) -> None:
    fifo.write('{"time": 1583748873, "force": 1}\n{"time": 1583748874, "force": 2}')
    os.close(fifo.writer)
    assert rows(fifo.source, 2).values[:, 0].tolist() == [1, 2]
    assert fifo.source.read(0.0, 5) is None
    fifo.writer = os.open(fifo.path, os.O_WRONLY)
    fifo.write('{"time": 1583748875, "force": 3}\n')
    assert rows(fifo.source, 1).values[0, 0] == 3


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("force=3", "'force=3' is not a JSON object"),
        ("[1, 2]", "not a JSON object"),
        ("\xff\xfe", "not a JSON object"),
        ("[" * 100_00, "not a JSON object"),
        ('{"pressure": 3}', "none of the channels force, stroke is in ['pressure']"),
        ('{"time": "noon", "force": 3}', "`time` is 'noon'"),
        ('{"time": 1e300, "force": 3}', "`time` is 1e+300"),
        ('{"time": [1], "force": 3}', "`time` is [1]"),
    ],
)
def test_bad_line_is_skipped_counted_and_reported(fifo: Fifo, line: str, expected: str) -> None:  # 23
    fifo.write(f'{{"time": 1, "force": 1}}\n{line}\n{{"time": 3, "force": 3}}\n')
    assert rows(fifo.source, 2).values[:, 0].tolist() == [1, 3]
    assert fifo.source.bad_lines == 1 and len(fifo.source.faults) == 1
    assert expected in fifo.source.faults[0] and "line 2" in fifo.source.faults[0] and "write one object a line" in fifo.source.faults[0]


@pytest.mark.parametrize("value", ['"12"', "true", "[1]", "{}"])
def test_value_that_is_no_number_is_missing(fifo: Fifo, value: str) -> None:  # 23
    fifo.write(f'{{"time": 1, "force": {value}, "stroke": 4}}\n')
    block = rows(fifo.source, 1)
    assert np.isnan(block.values[0, 0]) and block.values[0, 1] == 4 and "`force` is" in fifo.source.faults[0]


def test_line_without_end_is_skipped(fifo: Fifo) -> None:  # 23
    # A pipe holds 64 KiB, so it must be read in between.
    for _ in range(5):
        fifo.write("x" * (READ_BYTES // 4))
        assert fifo.source.read(0.0, 5) is None
    assert fifo.source.bad_lines == 1 and "without an end of line" in fifo.source.faults[0]
    fifo.write('\n{"time": 3, "force": 3}\n')
    assert rows(fifo.source, 1).values[0, 0] == 3


def test_source_reads_no_more_than_a_slow_consumer_needs(fifo: Fifo) -> None:
    fifo.write('{"time": 1, "force": 1}\n' * 50)
    assert [len(rows(fifo.source, 5).times) for _ in range(10)] == [5] * 10


def test_file_in_place_of_a_fifo_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("")
    with pytest.raises(SourceError, match="no FIFO.*tail, -F"):
        open_(fifo=str(tmp_path / "in"))


def test_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="directory that this user can write"):
        open_(fifo=str(tmp_path / "none" / "in"))


def python(code: str) -> list[str]:
    return [sys.executable, "-u", "-c", code]


def test_output_of_a_program_becomes_rows() -> None:
    source = open_(program=python("""for i in range(3): print('{"time": %d, "force": %d}' % (i, i * i))"""))
    assert rows(source, 3).values[:, 0].tolist() == [0, 1, 4]
    source.close()


def test_program_gets_its_arguments_unchanged(tmp_path: Path) -> None:
    source = open_(program=[*python("import sys; print(sys.argv[1])"), f'{{"force": 1}} $(touch {tmp_path}/x)'])
    give_up = time.monotonic() + PATIENCE_S
    while not source.faults and time.monotonic() < give_up:
        source.read(0.0, 5)
    assert "$(touch" in source.faults[0] and not (tmp_path / "x").exists()  # no shell has seen it
    source.close()


def test_ended_program_is_restarted_with_back_off(caplog: pytest.LogCaptureFixture) -> None:  # 24
    clock = Clock()
    source = open_(clock, program=python("""print('{"time": 1, "force": 1}')"""))
    for wait in ("0.5", "1.0", "2.0"):
        rows(source, 1)
        give_up = time.monotonic() + PATIENCE_S
        while not caplog.messages:
            source.read(0.0, 5)
            assert time.monotonic() < give_up
        assert f"exit code 0; it is restarted in {wait} s" in caplog.text
        assert source.read(0.0, 5) is None  # not before its time
        clock.now += float(wait)
        caplog.clear()
    source.close()


def test_back_off_is_reset_after_steady_running(caplog: pytest.LogCaptureFixture) -> None:  # 24
    clock = Clock()
    source = open_(clock, program=python("""print('{"time": 1, "force": 1}')"""))
    for ran, wait in ((0, "0.5"), (0, "1.0"), (31, "0.5")):
        clock.now += ran
        give_up = time.monotonic() + PATIENCE_S
        while "it is restarted" not in caplog.text:
            source.read(0.0, 5)
            assert time.monotonic() < give_up
        assert f"restarted in {wait} s" in caplog.text
        caplog.clear()
        clock.now += float(wait)
        rows(source, 1)
    source.close()


def test_missing_program_is_refused() -> None:
    with pytest.raises(SourceError, match="cannot be started"):
        open_(program=["/no/such/program"])


def test_closing_ends_the_program() -> None:
    code = """import os, time; print('{"time": 1, "force": %d}' % os.getpid()); time.sleep(600)"""
    source = open_(program=python(code))
    pid = int(rows(source, 1).values[0, 0])
    source.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("options", [{}, {"fifo": "a", "program": ["b"]}])
def test_exactly_one_of_fifo_and_command_is_required(options: dict[str, Any]) -> None:
    with pytest.raises(OptionsError, match="give one of `o.fifo`"):
        read(JsonlOptions, options, "o")


FAMILY = """import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, 1); print(1, flush=True); time.sleep(600)"],
    stdout=subprocess.PIPE)
child.stdout.read(1)
print('{"time": 1, "force": %d, "stroke": %d}' % (os.getpid(), child.pid), flush=True)
"""


def ended(pid: int, deadline_s: float = 20.0) -> bool:
    give_up = time.monotonic() + deadline_s
    while time.monotonic() < give_up:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def test_children_end_with_the_source() -> None:  # 24
    source = open_(program=python(FAMILY + "time.sleep(600)"))
    pids = rows(source, 1).values[0].astype(int).tolist()
    source.close()
    assert all(ended(pid) for pid in pids)


def test_children_end_with_their_program(caplog: pytest.LogCaptureFixture) -> None:  # 24
    source = open_(program=python(FAMILY + "sys.exit(3)"))
    _, child = rows(source, 1).values[0].astype(int).tolist()
    assert ended(child)
    give_up = time.monotonic() + 10
    while "ended with exit code 3" not in caplog.text:
        assert time.monotonic() < give_up
        source.read(0.0, 5)
    source.close()


def test_children_end_with_a_killed_component() -> None:  # 24
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"""
import json, sys, time
sys.path[:0] = {sys.path!r}
from sensor_ingestion.sources.base import Clocks
from sensor_ingestion.sources.jsonl import Jsonl, JsonlOptions
source = Jsonl(JsonlOptions(program={python(FAMILY + "time.sleep(600)")!r}, units={UNITS!r}), Clocks(time.monotonic, time.time_ns))
while (block := source.read(0.0, 5)) is None:
    time.sleep(0.01)
print(json.dumps(block.values[0].astype(int).tolist()), flush=True)
time.sleep(600)
""",
        ],
        stdout=subprocess.PIPE,
    )
    assert owner.stdout is not None
    pids = json.loads(owner.stdout.readline())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert len(pids) == 2 and all(ended(pid) for pid in pids)


def test_program_gets_no_credentials_of_the_component(monkeypatch: pytest.MonkeyPatch) -> None:  # 24
    for name in CREDENTIALS:
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("AWS_IOT_THING_NAME", "press-line")
    code = """import os, json
print(json.dumps({'force': sum(v == 'secret' for v in os.environ.values()), 'stroke': len(os.environ['AWS_IOT_THING_NAME'])}))"""
    source = open_(program=python(code))
    assert rows(source, 1).values.tolist() == [[0, 10]]
    source.close()


@pytest.mark.parametrize(
    ("line", "force", "expected"),
    [
        (b'{"time": 1, "force": NaN, "stroke": 4}', None, ""),
        (b'{"time": 1, "force": null, "stroke": 4}', None, ""),
        (b'{"time": 1, "force": Infinity, "stroke": 4}', None, "`force` is inf"),
        (b'{"time": 1, "force": 1e999, "stroke": 4}', None, "`force` is inf"),
        (b'{"time": 1, "force": 1e39, "stroke": 4}', None, "`force` is 1e+39"),
        (b'{"time": 1, "force": ' + b"9" * 5000 + b', "stroke": 4}', None, "`force` is"),
        (b'{"time": 1, "force": "\xff", "stroke": 4}', None, "bytes that are not UTF-8"),
        (b'{"time": 1, "force": 2, "note": "\xb0C", "stroke": 4}', 2.0, "bytes that are not UTF-8"),
        (b'\xef\xbb\xbf{"time": 1, "force": 2, "stroke": 4}', 2.0, ""),
        (b'{"time": 1, "force": ' + b"[" * 500 + b"]" * 500 + b', "stroke": 4}', None, "`force` is"),
    ],
)
def test_fault_in_a_line_costs_only_that_line(fifo: Fifo, line: bytes, force: float | None, expected: str) -> None:  # 23
    os.write(fifo.writer, line + b"\n")
    block = rows(fifo.source, 1)
    assert block.times.tolist() == [SECOND] and block.values[0, 1] == 4
    assert np.array_equal(block.values[0, 0], np.nan if force is None else force, equal_nan=True)
    assert fifo.source.bad_lines == 0 and (expected in fifo.source.faults[0] if expected else fifo.source.faults == [])
    assert all(len(fault) < 400 for fault in fifo.source.faults)


def test_lines_may_end_with_carriage_returns(fifo: Fifo) -> None:
    fifo.write('{"time": 1, "force": 1}\r{"time": 2, "force": 2}\r\n\r{"time": 3, "force": 3}\r')
    assert rows(fifo.source, 3).values[:, 0].tolist() == [1, 2, 3] and fifo.source.faults == []


def test_end_of_a_skipped_line_is_no_line(fifo: Fifo) -> None:  # 23
    for part in ('{"note": "' + "x" * READ_BYTES, "x" * 40_000 + '"}'):
        for at in range(0, len(part), 30_000):
            fifo.write(part[at : at + 30_000])
            assert fifo.source.read(0.0, 5) is None
    fifo.write(' {"time": 2, "force": 2}\n{"time": 3, "force": 3}\n')
    assert rows(fifo.source, 1).values[0, 0] == 3 and fifo.source.bad_lines == 1


def test_time_keeps_its_nanoseconds(fifo: Fifo) -> None:
    fifo.write('{"time": 1583748873.123456789, "force": 1}\n')
    assert rows(fifo.source, 1).times.tolist() == [T0 + 123_456_789]


@pytest.mark.parametrize(
    "written",
    [
        "1583748873.12345708",
        "1583748873.123457",
        "1583748873.1234570004",
        "1583748873",
        "0.000000123",
        "1.583748873e9",
        "1e-7",
    ],
)
def test_seconds_are_read_exactly(fifo: Fifo, written: str) -> None:
    fifo.write(f'{{"time": {written}, "force": 1}}\n')
    assert rows(fifo.source, 1).times.tolist() == [time_ns(written, "s")]
