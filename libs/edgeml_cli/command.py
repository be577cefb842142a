"""Runs the function of a command and ends it the way every `edgeml` command ends.

Ctrl-C and a closed output end a command without a stack trace, and a file or folder that cannot be used is one sentence. A command
that has a better sentence, or has to clean up, handles these itself.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

EXIT_CODES: dict[int, str] = {
    0: "done",
    1: "failed; one sentence on standard error names the cause and the remedy",
    2: "usage: the command line, or the input that it names, is wrong",
    130: "interrupted by Ctrl-C",
}
"""The meaning of each exit code."""
DONE, FAILED, USAGE, INTERRUPTED = EXIT_CODES


def run(name: str, function: Callable[[], int | None]) -> int:
    """Call `function` as the command `name`; returns the exit code."""
    interrupts: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupts.append(number)
        signal.default_int_handler(number, frame)

    handled = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if handled:
        signal.signal(signal.SIGINT, interrupt)
    try:
        code = _run(name, function)
    finally:
        if handled:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    # Ctrl-C during the import of a compiled module, or in a callback of one, surfaces as an error of that module.
    if interrupts and code not in (DONE, INTERRUPTED):
        print(f"{name}: interrupted", file=sys.stderr)
        return INTERRUPTED
    return code


def _run(name: str, function: Callable[[], int | None]) -> int:
    code = DONE
    try:
        code = _call(name, function)
        sys.stdout.flush()  # so that a closed output is noticed here, and not when Python exits
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return code


def _call(name: str, function: Callable[[], int | None]) -> int:
    try:
        return function() or DONE
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return FAILED
        return int(end.code or DONE)
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except OSError as fault:
        if not fault.filename:
            raise
        print(f"{name}: {os.fsdecode(fault.filename)}: {fault.strerror}; check it, or name another file or folder", file=sys.stderr)
        return FAILED
