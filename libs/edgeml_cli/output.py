"""The output of every command: `--json`, `--quiet`, and progress in a terminal.

Both options are handled here, around a command, by the kind of its standard output, which its record in the table declares:

| standard output | as it is | `--quiet` | `--json` |
|---|---|---|---|
| `result`: for the next command | unchanged | unchanged | one JSON object with its lines |
| `progress`: lines for people | unchanged | dropped | one JSON object with its lines |
| `json`: lines for people, then an object | unchanged | the object alone | the object as the last line |

An object with the lines is made here, and the lines go to standard error as they come. It is also made for a command that prints
its own object but failed before that. Errors always go to standard error.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
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
    """How a command prints, and what it has printed.

    Attributes:
        lines: its standard output, if it prints no object itself.
        errors: its sentences on standard error, with `--json`.
        has_object: it has printed an object as its last line.
    """

    json: bool = False
    quiet: bool = False
    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    has_object: bool = False


def take(arguments: list[str]) -> tuple[Output, list[str]]:
    """The options of every command, and the arguments without them; behind `--`, nothing is an option."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options, rest = arguments[:end], arguments[end:]
    chosen = Output("--json" in options, "--quiet" in options or bool(os.environ.get(QUIET)))
    return chosen, [each for each in options if each not in OPTIONS] + rest


class _Lines(io.TextIOBase):
    """A text stream that hands whole lines to a function."""

    encoding = "utf-8"

    def __init__(self, below: TextIO, take_line: Callable[[str], None]) -> None:
        self._below, self._take_line, self._part = below, take_line, ""

    def write(self, text: str) -> int:
        *lines, self._part = (self._part + text).split("\n")
        for line in lines:
            self._take_line(line)
        return len(text)

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


@contextlib.contextmanager
def shaped(verb: Verb, output: Output) -> Iterator[None]:
    """Standard output and standard error as the options ask for, while a command runs."""
    out, err = sys.stdout, sys.stderr

    def collect(line: str) -> None:
        output.lines.append(line)
        if not output.quiet:
            print(line, file=sys.stderr, flush=True)

    def pass_on(line: str) -> None:
        output.has_object = line.startswith("{")
        if output.has_object or not output.quiet:
            out.write(f"{line}\n")

    def pass_error(line: str) -> None:
        name, _, sentence = line.partition(": ")
        if sentence and f"{name} ".startswith(f"{verb.command} "):  # a verb with verbs of its own adds their names
            output.errors.append(sentence)
        err.write(f"{line}\n")

    def drop(line: str) -> None:
        pass

    take_line: Callable[[str], None] | None = None
    if (output.json or output.quiet) and (verb.stdout == "json" or (output.json and verb.own_json)):
        take_line = pass_on
    elif output.json:
        take_line = collect
    elif output.quiet and verb.stdout == "progress":
        take_line = drop
    if output.quiet:
        os.environ[QUIET] = "1"
    stream = _Lines(out, take_line) if take_line else out
    errors = _Lines(err, pass_error) if output.json else err
    try:
        sys.stdout, sys.stderr = stream, errors
        yield
    finally:
        sys.stdout, sys.stderr = out, err
        for each in (stream, errors):
            if isinstance(each, _Lines):
                each.finish()


def print_result(verb: Verb, output: Output, code: int, begun: float) -> None:
    """Print the JSON object of a command that has printed none itself."""
    if output.json and not output.has_object:
        error = output.errors[-1] if code and output.errors else None
        answer = {"command": verb.words, "exit_code": code, "seconds": round(time.monotonic() - begun, 3)}
        print(json.dumps({**answer, "output": output.lines, "error": error}), flush=True)
