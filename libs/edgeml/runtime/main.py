"""The process of a component: command line, log, signals, and the loop.

A component's `__main__` is `sys.exit(main("com.edgeml.X", Options, Service))`.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from edgeml.ipc.bus import IpcBus, RestartRequired
from edgeml.parsing.sanitize import printable
from edgeml.runtime.runner import ServiceRunner
from edgeml.runtime.service import ComponentContext, Service

log = logging.getLogger("edgeml")

RELAUNCH_EXIT = 75
"""Exit code of a component that works again only after its nucleus has launched it again."""

O = TypeVar("O")  # noqa: E741


class LogFormatter(logging.Formatter):
    """Escapes control characters, so that the text of a message cannot move a terminal's cursor or start a log line."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        return printable(super().formatException(ei), keep="\n")


def main(component: str, options: type[O], create: Callable[[ComponentContext, O], Service], argv: list[str] | None = None) -> int:
    """Run a component until a signal stops it; returns its exit code.

    Command line: `--work DIR` (default: the current directory) and `--artifacts DIR`.
    """
    parser = argparse.ArgumentParser(prog=component)
    parser.add_argument("--work", type=Path, default=Path(), help="the component's work directory, which persists across restarts")
    parser.add_argument("--artifacts", type=Path, default=Path(), help="the directory of its unpacked artifacts")
    arguments = parser.parse_args(argv)
    os.umask(0o077)  # only the component's own user can read its files
    _configure_log()
    with contextlib.suppress(OSError):  # the loop retries and reports it
        arguments.work.mkdir(parents=True, exist_ok=True)
    bus = IpcBus(component)
    context = ComponentContext(bus, component, os.environ.get("AWS_IOT_THING_NAME", "unknown-thing"), arguments.work, arguments.artifacts)
    runner = ServiceRunner(bus, context, options, create)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: runner.stop())
    try:
        runner.run()
    except RestartRequired as fault:
        log.error("%s", fault)
        return RELAUNCH_EXIT
    return 0


def _configure_log() -> None:
    level = logging.getLevelName(os.environ.get("EDGEML_LOG_LEVEL", "INFO").upper())
    handler = logging.StreamHandler(sys.stdout)  # a nucleus logs standard error as warnings
    handler.setFormatter(LogFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level if isinstance(level, int) else logging.INFO, handlers=[handler])
    # The SDK logs each failed attempt to connect as an error; `edgeml.ipc.connection` logs it once.
    logging.getLogger("awsiot.eventstreamrpc").addFilter(_no_connection_attempt)


def _no_connection_attempt(record: logging.LogRecord) -> bool:
    return "connect failed" not in record.msg and "failed to establish" not in record.msg
