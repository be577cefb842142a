"""Starts the local nucleus for the demo, deploys the suite to it and stops it afterwards."""

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
from edgeml_cli.build.package import COMPONENTS, SUITE
from gglocal.api.nucleus import Nucleus
from gglocal.core.state import Delivery
from gglocal.process.component import BROKEN, FINISHED, RUNNING

SUBSCRIBERS = ("com.edgeml.Inference", "com.edgeml.AlertDispatcher")
PROGRESS_INTERVAL_S = 10.0
"""Seconds between two progress lines while a component is being installed."""
VENV = "venv"
PRESERVED = (VENV, VENV + STORE)
"""Entries of a component's work directory that are kept between runs."""


class SessionError(Exception):
    """The run cannot start or continue; the text is one sentence."""


class NucleusSession:
    """A local nucleus that runs the suite. A context manager for the main thread; on exit it stops every process.

    Args:
        directory: used by the demo only.
        built: a `greengrass-build` directory.
        version: version of the components in `built`.
        report_progress: called with one line at each step of the installation.
    """

    def __init__(self, directory: Path, built: Path, version: str, profile: str, report_progress: Callable[[str], None]) -> None:
        self._directory, self._built, self._version, self._report_progress = directory, built, version, report_progress
        self.nucleus = Nucleus(directory / "nucleus", profile=profile, thing_name="demo", echo=self._on_log_line)
        self._installing = True
        self._deliveries: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self._lock: IO[str] | None = None
        self._restore_logging: Callable[[], None] | None = None

    def __enter__(self) -> NucleusSession:
        """
        Raises:
            SessionError: another demo is running in this directory.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock = (self._directory / "lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise SessionError(
                f"another demo is running in {self._directory}; wait until it ends, or choose another directory with --out"
            ) from None
        try:
            _remove_previous_run(self.nucleus.root.path)
            self._restore_logging = _log_to(self._directory / "nucleus.log")
            self.nucleus.start()
            self.nucleus.tap(self._on_delivery)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    @property
    def is_installed(self) -> bool:
        """Whether an earlier run has installed the packages of every component."""
        return all((self.nucleus.work_dir(name) / VENV / STAMP).is_file() for name in COMPONENTS)

    def deploy(self, config: dict[str, Any], model: tuple[str, str] = ("", "")) -> None:
        """Deploy and start the suite: subscribers first, then the model, so that the first row is received and scored by it.

        Args:
            config: configuration to merge, by component.
            model: name and version of a model component; empty: the bundle that ships is used.

        Raises:
            SessionError: a component does not start.
        """
        updates = {name: {"merge": merge} for name, merge in config.items()}
        recipes, artifacts = self._built / "recipes", self._built / "artifacts"
        versions = dict.fromkeys(SUBSCRIBERS, self._version)
        subscribing = {name: update for name, update in updates.items() if name in SUBSCRIBERS}
        self._wait_until_running(self.nucleus.deploy(recipes, artifacts, versions, subscribing))
        if model[0]:
            self._wait_until_running(self.nucleus.deploy(recipes, artifacts, dict([model]), {}))
        others = {name: update for name, update in updates.items() if name not in SUBSCRIBERS}
        started = self.nucleus.deploy(recipes, artifacts, dict.fromkeys((SUITE, *others), self._version), others)
        self._wait_until_running([name for name in started if name != SUITE])
        self._installing = False

    def next(self, timeout: float) -> Delivery | None:
        """The next message that the nucleus accepted on a local topic, or None after `timeout` seconds without one."""
        try:
            return self._deliveries.get(timeout=timeout)
        except queue.Empty:
            return None

    def publish(self, command: Command) -> None:
        """Publish a command as a person at a command line would."""
        self.nucleus.publish(topics.COMMANDS, encode(command), signed=True)

    def broken(self) -> list[str]:
        """One sentence for each component in the state BROKEN."""
        return [
            f"{status.name} is BROKEN ({status.detail}); see {status.log}" for status in self.nucleus.components() if status.state == BROKEN
        ]

    def configuration(self, component: str) -> Any:
        """The component's current configuration."""
        return self.nucleus.component(component).configuration

    def _stop(self) -> None:
        # A second Ctrl-C must not interrupt the shutdown and leave processes running.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.nucleus.stop()
        finally:
            signal.signal(signal.SIGINT, before)
            if self._restore_logging is not None:
                self._restore_logging()
                self._restore_logging = None
            if self._lock is not None:
                self._lock.close()

    def _wait_until_running(self, names: Iterable[str]) -> None:
        started_at = time.monotonic()
        for name in names:
            while True:
                try:
                    self.nucleus.wait_for_state(name, (RUNNING, FINISHED, BROKEN), timeout=PROGRESS_INTERVAL_S)
                    break
                except TimeoutError:
                    self._report_progress(f"  {name.rpartition('.')[2]}: still installing after {time.monotonic() - started_at:.0f} s")
        broken = self.broken()
        if broken:
            raise SessionError("; ".join(broken))

    def _on_delivery(self, delivery: Delivery) -> None:
        if delivery.kind == "local":
            self._deliveries.put(delivery)

    def _on_log_line(self, component: str, line: str) -> None:
        progress = install_progress(line) if self._installing else ""
        if progress:
            self._report_progress(f"  {component.rpartition('.')[2]}: {progress}")


def install_progress(line: str) -> str:
    """The progress that a log line of an install step reports, in a few words; empty if it reports none."""
    line = line.strip()
    if re.match(r"INFO edgeml\.runtime\.install_venv: creating the virtual environment", line):
        return "creating its virtual environment"
    download = re.match(r"Downloading ([\w.]+)-([\w.]+)-\S+ (\((?:\d{2,}(?:\.\d+)? MB|.+ GB)\))", line)
    if download:  # smaller packages, and those in pip's cache, take no noticeable time
        return f"downloading {download[1]} {download[2]} {download[3]}"
    if line.startswith("Installing collected packages"):
        return "installing the packages"
    return line if line.startswith(("ERROR", "WARNING: Retrying")) else ""


def _remove_previous_run(root: Path) -> None:
    """Remove the files of the previous run, except the components' virtual environments."""
    if not root.is_dir():
        return
    for entry in [*root.iterdir(), *(root / "work").glob("*/*")]:
        if entry.parent == root and entry.name == "work" or entry.name in PRESERVED:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _log_to(path: Path) -> Callable[[], None]:
    """Redirect the nucleus's log to this file; returns a function that restores the previous logging."""
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.formatter.converter = time.gmtime  # type: ignore[union-attr]
    logger = logging.getLogger("gglocal")
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False

    def restore() -> None:
        logger.removeHandler(handler)
        handler.close()
        logger.setLevel(level)
        logger.propagate = propagate

    return restore
