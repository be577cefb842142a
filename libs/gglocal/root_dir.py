"""The root folder of a nucleus: where things are, and that one nucleus at a time uses it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import stat
import tempfile
from pathlib import Path
from typing import IO, Any

import yaml

from gglocal.errors import NucleusError
from gglocal.valid_names import component_fault

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
log = logging.getLogger("gglocal")

PARTS = ("config", "faults", "iot-core.jsonl", "lock", "logs", "packages", "secrets", "work")
"""What a root consists of, and people may put into a new one."""
MAX_SOCKET_PATH = 100
"""Bytes; a Unix socket's path is limited to about 107."""


def default_root() -> Path:
    """`$GGLOCAL_ROOT`, else `.gglocal` in the working directory."""
    return Path(os.environ.get("GGLOCAL_ROOT") or ".gglocal").absolute()


class Root:
    """A root folder, laid out as a core device's."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self.work = self.path / "work"
        self.iot_record = self.path / "iot-core.jsonl"
        self._state = self.path / "config" / "gglocal.json"
        self.effective = self.path / "config" / "effectiveConfig.yaml"
        self._lock: IO[str] | None = None

    def acquire(self) -> None:
        """Make the folder, for this user alone, and hold it until `release`.

        Raises:
            NucleusError: another nucleus runs there, the folder cannot be written, or it holds other files that others may read.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._close_to_others()
            for folder in (self.logs, self.work, self._state.parent):
                folder.mkdir(parents=True, exist_ok=True)
            lock = (self.path / "lock").open("a")
        except OSError as fault:
            raise NucleusError(f"{self.path}: the root folder cannot be used ({fault}); choose another with --root") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise NucleusError(f"{self.path}: a nucleus already runs in this root; stop it, or choose another with --root") from None
        self._lock = lock

    def _close_to_others(self) -> None:
        """Keys, logs and sockets are for this user alone, in a folder that was there before too."""
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if not mode & 0o077:
            return
        if not (self.path / "lock").exists() and any(each.name not in PARTS for each in self.path.iterdir()):
            raise NucleusError(
                f"{self.path}: this folder holds other files, and others may read it (mode {mode:o}); "
                f"choose a new folder with --root, or run: chmod 700 {self.path}"
            )
        self.path.chmod(0o700)
        log.warning("%s: others could read this folder (mode %o); it is yours alone from now on (mode 700)", self.path, mode)

    def release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def ipc_socket(self) -> Path:
        """Where components connect."""
        return self.socket("gg-ipc.socket")

    def socket(self, name: str) -> Path:
        """Where a socket of this root is: in it, or in a private folder when the path would be too long.

        Raises:
            NucleusError: that private folder belongs to somebody else.
        """
        path = self.path / name
        if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
            return path
        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"gglocal-{os.getuid()}-{digest}"
        if len(os.fsencode(folder / name)) > MAX_SOCKET_PATH:
            folder = Path("/tmp") / folder.name
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise NucleusError(f"{folder}: this folder is not yours alone; remove it, or choose a shorter --root")
        return folder / name

    def log_of(self, component: str) -> Path:
        """Where a component's log is.

        Raises:
            NucleusError: no component can have this name.
        """
        return self.logs / f"{_checked(component)}.log"

    def work_of(self, component: str) -> Path:
        """A component's work directory.

        Raises:
            NucleusError: no component can have this name.
        """
        return self.work / _checked(component)

    def load_state(self) -> dict[str, Any]:
        """What was saved last; empty: nothing.

        Raises:
            NucleusError: the file has been damaged.
        """
        try:
            state = json.loads(self._state.read_text())
            if not _is_state(state):
                raise ValueError("it is no saved state")
            return dict(state)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as fault:
            raise NucleusError(f"{self._state}: the saved configuration is damaged ({fault}); remove the file") from None

    def save_state(self, state: dict[str, Any]) -> None:
        fresh = self._state.with_suffix(".new")
        fresh.write_text(json.dumps(state))
        fresh.replace(self._state)

    def save_effective(self, document: dict[str, Any]) -> None:
        """Write the whole configuration for whoever reads it there."""
        fresh = self.effective.with_suffix(".new")
        fresh.write_text(yaml.dump(document, Dumper=_Dumper, explicit_start=True, sort_keys=False, allow_unicode=True), encoding="utf-8")
        fresh.replace(self.effective)


def _checked(component: str) -> str:
    if fault := component_fault(component):
        raise NucleusError(fault)
    return component


def _is_state(state: Any) -> bool:
    """Whether it has the shape of `ConfigStore.snapshot` under `configuration`: maps, and leaves `[value, timestamp]`."""
    waiting = [state.get("configuration", {})] if isinstance(state, dict) else [None]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
        elif not (isinstance(one, list) and len(one) == 2 and isinstance(one[1], int)):
            return False
    return True
