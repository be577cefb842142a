"""Runs a module as the command that a script of `scripts/` is: `python -m edgeml_cli.command NAME MODULE [ARGUMENT...]`.

What ends every command alike is here: Ctrl-C and a closed output end it without a stack trace, and a file or folder that cannot be used
is one sentence. A command that knows a better sentence, or has to clean up, does so itself before.
Exit codes: the command's; 130: interrupted; 1: a file could not be used.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from pathlib import Path
from types import FrameType

INTERRUPTED = 130


def main(name: str, module: str, arguments: list[str]) -> int:
    """Returns the exit code."""
    came: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        came.append(number)
        signal.default_int_handler(number, frame)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    code = _run(name, module, arguments)
    # What is interrupted in the import of a compiled module, or in a callback of one, is told as a fault of that module.
    if came and code not in (0, INTERRUPTED):
        print(f"{name}: interrupted", file=sys.stderr)
        return INTERRUPTED
    return code


def _run(name: str, module: str, arguments: list[str]) -> int:
    sys.argv = [name, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return int(end.code or 0)
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as fault:
        if not fault.filename:
            raise
        print(f"{name}: {os.fsdecode(fault.filename)}: {fault.strerror}; see to it, or name another file or folder", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).name, sys.argv[2], sys.argv[3:]))
