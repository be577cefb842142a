"""The local nucleus that the demo runs on: set up, deployed to, followed, taken down."""

from __future__ import annotations

import fcntl
import logging
import queue
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from edgeml.messages import Command, encode, topics
from edgeml.runtime.install_venv import STAMP, STORE
from edgeml_cli.build.package import COMPONENTS
from gglocal.api.nucleus import Nucleus
from gglocal.core.state import Delivery
from gglocal.process.component import BROKEN, RUNNING

LISTENERS = ("com.edgeml.Inference", "com.edgeml.AlertDispatcher")
SUITE = "com.edgeml.Suite"
PATIENCE_S = 10.0
"""Seconds of set-up after which a sign of life is given."""
VENV = "venv"
KEPT = (VENV, VENV + STORE)
"""What stays of a component's work directory from run to run."""


class SessionError(Exception):
    """The run cannot begin or go on; one sentence."""


class NucleusSession:
    """A nucleus with the suite on it; a context manager of the main thread that leaves nothing running.

    Args:
        place: a directory of the demo's own.
        built: a `greengrass-build` directory.
        version: of the components in it.
        say: is told of the progress of the set-up.
    """

    def __init__(self, place: Path, built: Path, version: str, profile: str, say: Callable[[str], None]) -> None:
        self._place, self._built, self._version, self._say = place, built, version, say
        self.nucleus = Nucleus(place / "nucleus", profile=profile, thing_name="demo", echo=self._echo)
        self._installing = True
        self._deliveries: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self._lock: IO[str] | None = None
        self._unlog: Callable[[], None] | None = None

    def __enter__(self) -> NucleusSession:
        """
        Raises:
            SessionError: another demo runs in this place.
        """
        self._place.mkdir(parents=True, exist_ok=True)
        self._lock = (self._place / "lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise SessionError(f"another demo runs in {self._place}; let it end, or choose another directory with --out") from None
        try:
            _clear(self.nucleus.root.path)
            self._unlog = _log_to(self._place / "nucleus.log")
            self.nucleus.start()
            self.nucleus.tap(self._hear)
        except BaseException:
            self._take_down()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self._take_down()

    @property
    def complete(self) -> bool:
        """Whether every component has its packages from an earlier run."""
        return all((self.nucleus.work_dir(name) / VENV / STAMP).is_file() for name in COMPONENTS)

    def deploy(self, config: dict[str, Any]) -> None:
        """Deploy and start all: first who listens, then who speaks, so that event time begins when everybody is there.

        Args:
            config: what to merge into the configuration, by component.

        Raises:
            SessionError: a component does not come up.
        """
        updates = {name: {"merge": merge} for name, merge in config.items()}
        recipes, artifacts = self._built / "recipes", self._built / "artifacts"
        for names in (LISTENERS, (SUITE,)):
            own = {name: update for name, update in updates.items() if (name in LISTENERS) == (names == LISTENERS)}
            started = self.nucleus.deploy(recipes, artifacts, dict.fromkeys((*names, *own), self._version), own)
            self._until_running([name for name in started if name != SUITE])
        self._installing = False

    def next(self, timeout: float) -> Delivery | None:
        """The next message that the nucleus accepted on a local topic; None when none came in `timeout` seconds."""
        try:
            return self._deliveries.get(timeout=timeout)
        except queue.Empty:
            return None

    def publish(self, command: Command) -> None:
        """Publish a command as a person with a command line does."""
        self.nucleus.publish(topics.COMMANDS, encode(command), signed=True)

    def broken(self) -> list[str]:
        """A sentence for each component that the nucleus has given up."""
        return [
            f"{status.name} is BROKEN ({status.detail}); see {status.log}" for status in self.nucleus.components() if status.state == BROKEN
        ]

    def configuration(self, component: str) -> Any:
        """The component's configuration as it stands."""
        return self.nucleus.component(component).configuration

    def _take_down(self) -> None:
        # A second Ctrl-C must not leave half of it running.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.nucleus.stop()
        finally:
            signal.signal(signal.SIGINT, before)
            if self._unlog is not None:
                self._unlog()
                self._unlog = None
            if self._lock is not None:
                self._lock.close()

    def _until_running(self, names: Iterable[str]) -> None:
        begun = time.monotonic()
        for name in names:
            while True:
                try:
                    self.nucleus.wait_for_state(name, (RUNNING, BROKEN), timeout=PATIENCE_S)
                    break
                except TimeoutError:
                    self._say(f"  {name.rpartition('.')[2]} is being set up, {time.monotonic() - begun:.0f} s so far")
        broken = self.broken()
        if broken:
            raise SessionError("; ".join(broken))

    def _hear(self, delivery: Delivery) -> None:
        if delivery.kind == "local":
            self._deliveries.put(delivery)

    def _echo(self, component: str, line: str) -> None:
        progress = install_progress(line) if self._installing else ""
        if progress:
            self._say(f"  {component.rpartition('.')[2]}: {progress}")


def install_progress(line: str) -> str:
    """What a line of an install step says that a person waiting for it wants to know; empty: nothing."""
    words = line.strip()
    if words.startswith("INFO edgeml.runtime.install_venv: making"):
        return "making its virtual environment"
    fetched = re.match(r"Downloading ([\w.]+)-([\w.]+)-\S+ (\((?:\d{2,}(?:\.\d+)? MB|.+ GB)\))", words)
    if fetched:  # smaller ones, and those of pip's cache, take no time
        return f"fetching {fetched[1]} {fetched[2]} {fetched[3]}"
    if words.startswith("Installing collected packages"):
        return "installing these packages"
    return words if words.startswith(("ERROR", "WARNING: Retrying")) else ""


def _clear(root: Path) -> None:
    """Remove what an earlier run left, but the components' virtual environments."""
    if not root.is_dir():
        return
    for entry in [*root.iterdir(), *(root / "work").glob("*/*")]:
        if entry.parent == root and entry.name == "work" or entry.name in KEPT:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _log_to(path: Path) -> Callable[[], None]:
    """The nucleus logs to this file alone, until the function that is returned puts everything back."""
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.formatter.converter = time.gmtime  # type: ignore[union-attr]
    logger = logging.getLogger("gglocal")
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False

    def put_back() -> None:
        logger.removeHandler(handler)
        handler.close()
        logger.setLevel(level)
        logger.propagate = propagate

    return put_back
