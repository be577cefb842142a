"""Progress of long tasks: text lines, and counted steps for a progress bar."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

LOGGER = logging.getLogger("edgeml.progress")
"""Counted steps, logged with the arguments (label, done, total); `edgeml` shows them in a terminal."""
LOGGER.propagate = False
LOGGER.setLevel(logging.INFO)
LOGGER.addHandler(logging.NullHandler())


def steps(label: str, done: int, total: int) -> None:
    """Report that `done` of `total` steps are done."""
    LOGGER.info("%s %d/%d", label, done, total)


def to_stderr(line: str) -> None:
    """Print a line of progress, unless the environment asks for quiet (`edgeml --quiet`)."""
    if not os.environ.get("EDGEML_QUIET"):
        print(line, file=sys.stderr, flush=True)


class Epochs:
    """Reports every `every`-th epoch and the last one in a line, and each as a step."""

    def __init__(self, log: Callable[[str], None], epochs: int, every: int) -> None:
        self._log, self._epochs, self._every = log, epochs, every

    def ended(self, epoch: int, text: str) -> None:
        """Epoch number `epoch`, from 1, has ended; `text` describes it."""
        steps("epoch", epoch, self._epochs)
        if epoch % self._every == 0 or epoch == self._epochs:
            self._log(f"epoch {epoch}/{self._epochs}: {text}")
