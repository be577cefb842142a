"""The source `jsonl`: one JSON object a line, from a FIFO or from the output of a program.

A program of your own writes lines such as `{"time": "2026-01-31T12:00:00Z", "flow": 121.5}`.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from edgeml.backoff import Backoff
from edgeml.errors import SourceError
from edgeml.parsing.readings import LARGEST, fits, time_ns
from edgeml.runtime.subprocess_env import without_credentials
from sensor_ingestion.sources import process_guard, pump_physics
from sensor_ingestion.sources.base import Channel, Clocks, RowBlock
from sensor_ingestion.sources.input_faults import InputFaults

log = logging.getLogger(__name__)

POLL_S = 0.05
READ_BYTES = 65_536
"""Bytes read at a time, and the maximum length of a line."""
EXACT_DECIMALS, EXACT_S = 6, 4e9
"""Decimals of a time in seconds that a float holds, up to that time."""
STEADY_S = 30.0
"""Run time of a program after which the back-off of its restarts begins again."""


class JsonlOptions(msgspec.Struct, frozen=True):
    """Options of the source `jsonl`."""

    fifo: Annotated[str, Meta(description="path of a FIFO; it is created if it does not exist")] = ""
    program: Annotated[list[str], Meta(description="a program and its arguments, run without a shell")] = []
    units: Annotated[dict[str, str], Meta(description="channel -> unit: the keys to read; empty: the pump skid's eight channels")] = {}

    def check(self, where: str) -> list[str]:
        if bool(self.fifo) == bool(self.program):
            prefix = f"{where}." if where else ""
            return [f"give one of `{prefix}fifo` (a path) and `{prefix}program` (a list: program, arguments)"]
        return []


class Jsonl:
    """A `Source` that never finishes: writers may close, and programs are restarted."""

    paced = False
    finished = False
    own_time = False
    actions: Mapping[str, Callable[[], None]] = {}

    def __init__(self, options: JsonlOptions, clocks: Clocks, checkpoint: dict[str, Any] | None = None) -> None:
        known = {channel.name: channel for channel in pump_physics.CHANNELS}
        units = options.units or {channel.name: channel.unit for channel in pump_physics.CHANNELS}
        self.channels = tuple(known.get(name, Channel(name, unit))._replace(unit=unit) for name, unit in units.items())
        self.bad_lines = 0
        self._names = [channel.name for channel in self.channels]
        self._clocks = clocks
        self._pipe: _Pipe = _Fifo(Path(options.fifo)) if options.fifo else _Program(options.program, clocks.monotonic)
        self._input_faults = InputFaults(self._pipe.name, clocks.monotonic)
        self._partial = b""
        self._too_long = False  # the data up to the next end of line belongs to a line that is skipped
        self._lines: list[bytes] = []
        self._line = 0

    @property
    def faults(self) -> Sequence[str]:
        return self._input_faults.sentences

    def read(self, now: float, limit: int) -> RowBlock | None:
        if len(self._lines) < limit:
            self._split(self._pipe.read())
        lines, self._lines = self._lines[:limit], self._lines[limit:]
        rows = [row for row in map(self._parse, lines) if row is not None]
        if not rows:
            return None
        return RowBlock(np.array([time for time, _ in rows], np.int64), np.array([values for _, values in rows], "f4"))

    def wait(self, now: float, limit: int) -> float:
        return 0.0 if self._lines else POLL_S

    def checkpoint(self) -> None:
        return None

    def close(self) -> None:
        self._pipe.close()

    def _split(self, data: bytes | None) -> None:
        if data is None:  # the writer has closed: its unfinished line is its last one
            if self._partial:
                self._lines.append(self._partial)
            self._partial, self._too_long = b"", False
            return
        data = data.replace(b"\r", b"\n")
        if self._too_long:
            _, end, data = data.partition(b"\n")
            self._too_long = not end
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._lines += [line for line in lines if line.strip()]
        if len(self._partial) > READ_BYTES:
            self._line += 1
            self._skip(f"{len(self._partial)} bytes without an end of line")
            self._partial, self._too_long = b"", True

    def _parse(self, line: bytes) -> tuple[int, list[float]] | None:
        self._line += 1
        record: dict[str, Any] | None
        try:
            record = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            record = self._repaired(line)
        if record is None:
            return None
        if not any(name in record for name in self._names):
            self._skip(f"none of the channels {', '.join(self._names)} is in {[name[:40] for name in sorted(record)[:10]]}")
            return None
        try:
            time = self._time(record.get("time"), line)
        except ValueError as fault:
            self._skip(f"`time` is {_shown(record['time'])}, {fault}; expected ISO 8601 or seconds since the epoch")
            return None
        return time, [self._number(name, record.get(name)) for name in self._names]

    def _repaired(self, line: bytes) -> dict[str, Any] | None:
        """The object of a line that is JSON except for NaN, Infinity, a number too large, or bytes that are not UTF-8; None: it is not."""
        text = line.decode(errors="replace").lstrip("\ufeff\0 \t")
        try:
            record = json.loads(text, parse_int=_whole)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            self._skip(f"{line[:40].decode(errors='replace')!r} is not a JSON object")
            return None
        if "\ufffd" in text:
            self._add_fault("bytes", f"bytes that are not UTF-8 in {text[:40]!r}", "the rest of the line is used; write UTF-8")
        return record

    def _time(self, value: Any, line: bytes) -> int:
        if value is None:
            return self._clocks.wall_ns()
        if isinstance(value, str):
            return time_ns(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError("no time")
        written = _as_written(line) or repr(value)
        if 0 <= value < EXACT_S and len(written.partition(".")[2]) <= EXACT_DECIMALS and "e" not in written.lower():
            return round(value * 1e6) * 1000
        return time_ns(written, "s")

    def _number(self, name: str, value: Any) -> float:
        if type(value) is float and -LARGEST <= value <= LARGEST:
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            try:
                return fits(float(value))
            except (ValueError, OverflowError):
                pass
        elif value is None:
            return math.nan
        self._add_fault("number", f"`{name}` is {_shown(value)}, no valid number", "published as missing")
        return math.nan

    def _skip(self, fault: str) -> None:
        self.bad_lines += 1
        remedy = 'write one object a line, such as {"time": "2026-01-31T12:00:00Z", "flow": 1.5}'
        self._add_fault("line", fault, f"the line is skipped; {remedy}")

    def _add_fault(self, kind: str, fault: str, consequence: str) -> None:
        self._input_faults.add(kind, f"{self._pipe.name}, line {self._line}: {fault}; {consequence}")


class _Time(msgspec.Struct):
    time: msgspec.Raw


def _as_written(line: bytes) -> str:
    """The digits of the time as written: a float cannot hold nanoseconds since the epoch."""
    try:
        return bytes(msgspec.json.decode(line, type=_Time).time).decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < 400 else float(digits)


def _shown(value: Any) -> str:
    try:
        return repr(value)[:60]
    except (RecursionError, ValueError):  # nested too deeply, or more digits than Python prints
        return f"a {type(value).__name__}"


class _Pipe:
    """A stream of bytes. `read` returns b"" if there are none now, and None if the writer has closed."""

    name: str
    _descriptor: int

    def read(self) -> bytes | None:
        try:
            return os.read(self._descriptor, READ_BYTES) or None
        except BlockingIOError:
            return b""

    def close(self) -> None:
        os.close(self._descriptor)


class _Fifo(_Pipe):
    def __init__(self, path: Path) -> None:
        self.name = str(path)
        try:
            if not path.exists():
                os.mkfifo(path, 0o660)
            kind = path.stat().st_mode
            if not (stat.S_ISFIFO(kind) or stat.S_ISCHR(kind)):
                raise SourceError(f"{path} is no FIFO; give another path, or follow a file with `program: [tail, -F, {path}]`")
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as fault:
            raise SourceError(f"{path}: {fault.strerror}; give a path in a directory that this user can write") from None


class _Program(_Pipe):
    def __init__(self, command: list[str], monotonic: Callable[[], float]) -> None:
        self.name = f"output of {command[0]}"
        self._command, self._monotonic = command, monotonic
        self._backoff, self._restart_at = Backoff(0.5, 60.0), 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._start()

    def read(self) -> bytes | None:
        if self._process is None:
            if self._monotonic() >= self._restart_at:
                try:
                    self._start()
                except SourceError as fault:
                    self._restart_later(str(fault))
            return b""
        data = super().read()
        if data is None:
            if self._monotonic() - self._started_at >= STEADY_S:
                self._backoff.reset()
            self._restart_later(f"{self.name} ended with exit code {self._end()}")
        return data

    def close(self) -> None:
        self._end()

    def _start(self) -> None:
        try:
            if shutil.which(self._command[0]) is None:
                raise FileNotFoundError(errno.ENOENT, "no such program, or it is not executable")
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", process_guard.__file__, *self._command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
                env=without_credentials(os.environ),
            )
        except (OSError, ValueError) as fault:
            raise SourceError(f"`program` {self._command} cannot be started ({fault}); correct the option") from None
        assert self._process.stdout is not None
        self._descriptor = self._process.stdout.fileno()
        os.set_blocking(self._descriptor, False)
        self._started_at = self._monotonic()

    def _restart_later(self, reason: str) -> None:
        wait = self._backoff.next()
        self._restart_at = self._monotonic() + wait
        log.warning("%s; it is restarted in %.1f s", reason, wait)

    def _end(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        assert process.stdout is not None and process.stdin is not None
        process.stdout.close()
        try:
            return process.wait(0.2)  # one that closes its output is about to end
        except subprocess.TimeoutExpired:
            process.stdin.close()  # the guard ends the whole group
        try:
            return process.wait(process_guard.PATIENCE_S + 2.0)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
        finally:
            process.stdin.close()
