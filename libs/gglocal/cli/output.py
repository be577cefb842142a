"""Prints from a separate thread, so that a blocked terminal or pipe does not block the nucleus."""

from __future__ import annotations

import logging
import os
import queue
import threading

_MAX_LINES = 10_000
_CLOSE_TIMEOUT_S = 2.0


class Printer:
    """Writes lines to a file descriptor; if the queue is full, new lines are dropped and counted."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lines: queue.Queue[str | None] = queue.Queue(_MAX_LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="gglocal-printer", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        try:
            if self._dropped and not self._lines.full():
                self._lines.put_nowait(f"(gglocal dropped {self._dropped} lines: the output was not read)")
                self._dropped = 0
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Print the queued lines, unless the output is blocked."""
        try:
            self._lines.put(None, timeout=_CLOSE_TIMEOUT_S)
        except queue.Full:
            return
        self._thread.join(_CLOSE_TIMEOUT_S)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            data = f"{line}\n".encode(errors="replace")
            try:
                while data:
                    data = data[os.write(self._fd, data) :]
            except OSError:
                continue


class PrinterHandler(logging.Handler):
    """Logs to a `Printer`."""

    def __init__(self, printer: Printer) -> None:
        super().__init__()
        self._printer = printer

    def emit(self, record: logging.LogRecord) -> None:
        self._printer.put(self.format(record))
