"""The log file of a component, `<root>/logs/<name>.log`, with an optional echo for the foreground."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

log = logging.getLogger("gglocal")

Echo = Callable[[str, str], None]
"""Called with the component's name and one line."""


class ComponentLog:
    """Lines are `2026-01-01T00:00:00.000Z [INFO] stdout: text`; lines of the nucleus about the component have `nucleus:`."""

    def __init__(self, name: str, directory: Path, echo: Echo | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / f"{name}.log"
        self._name, self._echo = name, echo
        self._file = self.path.open("a", encoding="utf-8", buffering=1)

    def output(self, stream: str, line: str) -> None:
        """Write a line of the component's `stdout` or `stderr`."""
        self._write("WARN" if stream == "stderr" else "INFO", f"{stream}: {line}")
        if self._echo:
            self._echo(self._name, line)

    def log_event(self, text: str, level: str = "INFO") -> None:
        """Write a line of the nucleus about the component, and log it."""
        self._write(level, f"nucleus: {text}")
        log.log(getattr(logging, level if level != "WARN" else "WARNING"), "%s: %s", self._name, text)

    def write_note(self, text: str) -> None:
        """Write a line of the nucleus to this file only."""
        self._write("WARN", f"nucleus: {text}")

    def close(self) -> None:
        self._file.close()

    def _write(self, level: str, text: str) -> None:
        if self._file.closed:
            return
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._file.write(f"{now} [{level}] {text}\n")
