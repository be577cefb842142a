"""The output of every command: `--json`, `--quiet`, and progress in a terminal.

Both options are handled here, around a command, by the kind of its standard output, which its record in the table declares:

| standard output | as it is | `--quiet` | `--json` |
|---|---|---|---|
| `result`: for the next command | unchanged | unchanged | one JSON object with its lines |
| `progress`: lines for people | unchanged | dropped | one JSON object with its lines |
| `json`: lines for people, then an object | unchanged | the object alone | the object as the last line |

With `--json`, lines for people go to standard error as they come. Errors always go to standard error.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TextIO

from edgeml_cli.verbs import Verb

QUIET = "EDGEML_QUIET"
"""Set for `--quiet`, so that the processes that a command starts are quiet too; may be set by a person."""
OPTIONS = {
    "--json": "print one JSON object as the last line of standard output",
    "--quiet": "print results and errors only",
}
"""The options of every command."""


@dataclass
class Output:
    """How a command prints."""

    json: bool = False
    quiet: bool = False
    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def take(arguments: list[str]) -> tuple[Output, list[str]]:
    """The options of every command, and the arguments without them; behind `--`, nothing is an option."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options, rest = arguments[:end], arguments[end:]
    chosen = Output("--json" in options, "--quiet" in options or bool(os.environ.get(QUIET)))
    return chosen, [each for each in options if each not in OPTIONS] + rest


class _Lines(io.TextIOBase):
    """A text stream that hands whole lines to `write_line`."""

    encoding = "utf-8"

    def __init__(self, below: TextIO) -> None:
        self._below, self._part = below, ""

    def write(self, text: str) -> int:
        *lines, self._part = (self._part + text).split("\n")
        for line in lines:
            self.write_line(line)
        return len(text)

    def write_line(self, line: str) -> None:
        raise NotImplementedError

    def flush(self) -> None:
        self._below.flush()

    def fileno(self) -> int:
        return self._below.fileno()

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def finish(self) -> None:
        if self._part:
            self.write("\n")
        self.flush()


class _Collect(_Lines):
    """Keeps every line for the JSON object, and shows it on standard error."""

    def __init__(self, below: TextIO, output: Output) -> None:
        super().__init__(below)
        self._output = output

    def write_line(self, line: str) -> None:
        self._output.lines.append(line)
        if not self._output.quiet:
            print(line, file=sys.stderr, flush=True)


class _OnlyJson(_Lines):
    """Passes JSON objects and drops all other lines."""

    def write_line(self, line: str) -> None:
        if line.startswith("{"):
            self._below.write(f"{line}\n")


class _Drop(_Lines):
    def write_line(self, line: str) -> None:
        pass


class _Errors(_Lines):
    """Passes every line, and keeps those that a command writes as its error."""

    def __init__(self, below: TextIO, output: Output, name: str) -> None:
        super().__init__(below)
        self._output, self._prefix = output, f"{name}: "

    def write_line(self, line: str) -> None:
        if line.startswith(self._prefix):
            self._output.errors.append(line.removeprefix(self._prefix))
        self._below.write(f"{line}\n")


def wrapped(verb: Verb, output: Output) -> bool:
    """Whether the JSON object is made here, and not by the command."""
    return output.json and verb.stdout != "json" and not verb.own_json


@contextlib.contextmanager
def shaped(verb: Verb, output: Output) -> Iterator[None]:
    """Standard output and standard error as the options ask for, while a command runs."""
    out, err = sys.stdout, sys.stderr
    if output.quiet:
        os.environ[QUIET] = "1"
    stream: _Lines | None = None
    errors: _Lines | None = None
    if wrapped(verb, output):
        stream, errors = _Collect(out, output), _Errors(err, output, verb.command)
    elif output.quiet and verb.stdout != "result":
        stream = _OnlyJson(out) if verb.stdout == "json" else _Drop(out)
    try:
        sys.stdout, sys.stderr = stream or out, errors or err
        yield
    finally:
        for each in (stream, errors):
            if each is not None:
                each.finish()
        sys.stdout, sys.stderr = out, err


def print_result(verb: Verb, output: Output, code: int, begun: float) -> None:
    """Print the JSON object of a command that prints none itself."""
    if wrapped(verb, output):
        error = output.errors[-1] if code and output.errors else None
        answer = {"command": verb.words, "exit_code": code, "seconds": round(time.monotonic() - begun, 3)}
        print(json.dumps({**answer, "output": output.lines, "error": error}), flush=True)
