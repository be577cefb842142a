"""Fuzzing targets, and the outcome of one input."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

Takes = Literal["bytes", "text", "tree"]

LIMIT_S = 5.0
"""CPU seconds after which an input counts as a hang. CPU time does not depend on other processes."""
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Target:
    """A decoder or configuration reader.

    Attributes:
        reads: full names of what it calls.
        takes: `bytes`; `text`, surrogates included; `tree`: what Python makes of JSON, surrogates and infinities included.
        run: calls it.
        refuses: what it honestly refuses an input with.
        samples: inputs that it accepts, to begin with.
    """

    reads: tuple[str, ...]
    takes: Takes
    run: Callable[[Any], object]
    refuses: tuple[type[Exception], ...]
    samples: Callable[[], Sequence[Any]]

    def value(self, data: bytes) -> Any:
        """Decode the input in `data`; raises ValueError or RecursionError if it is invalid."""
        if self.takes == "tree":
            return json.loads(data)
        return data if self.takes == "bytes" else data.decode("utf-8", "surrogatepass")

    def written(self, value: Any) -> bytes:
        """Inverse of `value`."""
        if self.takes == "tree":
            return json.dumps(value).encode()
        return bytes(value) if self.takes == "bytes" else str(value).encode("utf-8", "surrogatepass")


class Crash(NamedTuple):
    """An input that was neither accepted nor rejected with a declared error.

    Attributes:
        key: the same for inputs that fail alike: the error and the innermost line of this project.
    """

    kind: Literal["crash", "hang"]
    key: str
    trace: str


class Hang(BaseException):
    """An input took too long."""


@contextmanager
def limited(seconds: float = LIMIT_S) -> Iterator[None]:
    """Raise Hang in the main thread after the time limit."""

    def over(*_: object) -> None:
        raise Hang(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def outcome(target: Target, value: Any, seconds: float = LIMIT_S) -> Crash | None:
    """Run one input. Returns None if it was accepted or rejected with a declared error."""
    try:
        with limited(seconds):
            target.run(value)
    except target.refuses as refusal:
        return _honest(refusal)
    except Hang:
        return _crash("hang", sys.exc_info())
    except Exception:
        return _crash("crash", sys.exc_info())
    return None


def accepts(target: Target, value: Any) -> bool:
    """Return whether the target accepts the input; undeclared errors propagate."""
    try:
        target.run(value)
    except target.refuses:
        return False
    return True


def _honest(refusal: Exception) -> Crash | None:
    text = str(refusal)
    if not text.strip() or len(text) > LONGEST_SENTENCE:
        return Crash("crash", f"a refusal of {len(text)} characters", f"{type(refusal).__name__}: {text[:200]}")
    return None


LONGEST_SENTENCE = 100_000
"""Maximum length of an error message, which may have several sentences."""


def _crash(kind: Literal["crash", "hang"], failed: Any) -> Crash:
    error, value, trace = failed
    frames = [frame for frame in traceback.extract_tb(trace) if frame.filename.startswith(str(ROOT)) and "/.venv/" not in frame.filename]
    own = [frame for frame in frames if "/tests/fuzz/" not in frame.filename] or frames
    where = f"{Path(own[-1].filename).relative_to(ROOT)}:{own[-1].name}" if own else "nowhere"
    text = "".join(traceback.format_exception(error, value, trace)[-12:])
    return Crash(kind, f"{error.__name__} in {where}", text[-4000:])


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder for one input, in memory if the system supports it."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=shm if os.access(shm, os.W_OK) else None) as folder:
        yield Path(folder)


def in_file(name: str, call: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Wrap `call`: it receives the path of a file `name` with the input."""

    def run(data: bytes) -> object:
        with scratch() as folder:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            return call(path)

    return run


class _Renders(logging.Handler):
    """Format every record, as a component's handler does, and discard the text."""

    def emit(self, record: logging.LogRecord) -> None:
        record.getMessage()


def quiet() -> None:
    """Format log records without output."""
    root = logging.getLogger()
    root.handlers[:] = [_Renders()]
    root.setLevel(logging.INFO)
