"""Progress in a terminal: a line at its bottom with the time so far, and a bar where steps are counted.

Commands print plain lines, here and everywhere. A command that counts steps logs them to `edgeml.progress` with the arguments
(label, done, total), such as `logger.info("%s %d/%d", "epoch", 3, 40)`; nothing shows them where no terminal is.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgeml_cli.output import Output
from edgeml_cli.verbs import Verb

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LOGGER = logging.getLogger("edgeml.progress")
LOGGER.propagate = False
LOGGER.setLevel(logging.INFO)
LOGGER.addHandler(logging.NullHandler())


def steps(label: str, done: int, total: int) -> None:
    """Report that `done` of `total` steps are done."""
    LOGGER.info("%s %d/%d", label, done, total)


class _Bar(logging.Handler):
    """Shows counted steps in the status line."""

    def __init__(self, progress: Progress, task: TaskID, name: str) -> None:
        super().__init__()
        self._progress, self._task, self._name = progress, task, name

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple) and len(record.args) == 3:
            label, done, total = record.args
            self._progress.update(self._task, description=f"{self._name}: {label}", completed=int(str(done)), total=int(str(total)))


def wanted(verb: Verb, output: Output) -> bool:
    """Whether a status line is shown: for long commands, in a terminal that can show it."""
    return verb.status_line and not output.quiet and sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"


@contextlib.contextmanager
def shown(verb: Verb, output: Output) -> Iterator[None]:
    """A status line while a command runs; lines that it prints scroll above. `NO_COLOR` takes the colours away."""
    if not wanted(verb, output):
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressBar, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
    from rich.text import Text

    class Bar(BarColumn):
        def render(self, task: Task) -> ProgressBar:
            return super().render(task) if task.total else Text()  # type: ignore[return-value]  # anything that can be shown

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), Bar(bar_width=24), TimeElapsedColumn())
    # The terminal itself: standard error is replaced while the command runs.
    console = Console(file=sys.stderr)
    progress = Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty())
    with progress:
        handler = _Bar(progress, progress.add_task(verb.command, total=None), verb.command)
        LOGGER.addHandler(handler)
        try:
            yield
        finally:
            LOGGER.removeHandler(handler)
