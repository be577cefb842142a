"""The root folder of a nucleus: its layout, and the lock that reserves it for one nucleus."""

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
from gglocal.valid_names import component_name_error

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
log = logging.getLogger("gglocal")

ENTRIES = ("config", "faults", "iot-core.jsonl", "lock", "logs", "packages", "secrets", "work")
"""The entries of a root folder; users may put them into a new one."""
MAX_SOCKET_PATH = 100
"""Bytes; the path of a Unix socket is limited to about 107."""


def default_root() -> Path:
    """`$GGLOCAL_ROOT`, else `.gglocal` in the working directory."""
    return Path(os.environ.get("GGLOCAL_ROOT") or ".gglocal").absolute()


class Root:
    """A root folder with the layout of a core device."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self.work = self.path / "work"
        self.iot_record = self.path / "iot-core.jsonl"
        self._state = self.path / "config" / "gglocal.json"
        self.effective = self.path / "config" / "effectiveConfig.yaml"
        self._lock: IO[str] | None = None

    def acquire(self) -> None:
        """Create the folder for this user alone, and lock it until `release`.

        Raises:
            NucleusError: another nucleus is running there, the folder is not writable, or it holds other files that others may read.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._restrict_permissions()
            for folder in (self.logs, self.work, self._state.parent):
                folder.mkdir(parents=True, exist_ok=True)
            lock = (self.path / "lock").open("a")
        except OSError as error:
            raise NucleusError(f"{self.path}: the root folder cannot be used ({error}); choose another one with --root") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise NucleusError(
                f"{self.path}: a nucleus is already running in this root folder; stop it, or choose another one with --root"
            ) from None
        self._lock = lock

    def _restrict_permissions(self) -> None:
        """Make keys, logs and sockets accessible to this user alone, in an existing folder too."""
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if not mode & 0o077:
            return
        if not (self.path / "lock").exists() and any(each.name not in ENTRIES for each in self.path.iterdir()):
            raise NucleusError(
                f"{self.path}: this folder holds other files, and other users may access it (mode {mode:o}); "
                f"choose a new folder with --root, or run: chmod 700 {self.path}"
            )
        self.path.chmod(0o700)
        log.warning("%s: other users could access this folder (mode %o); permissions changed to mode 700", self.path, mode)

    def release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def ipc_socket(self) -> Path:
        """The socket to which components connect."""
        return self.socket("gg-ipc.socket")

    def socket(self, name: str) -> Path:
        """The path of a socket: in this folder, or in a private temporary folder if that path would be too long.

        Raises:
            NucleusError: the temporary folder belongs to another user.
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
            raise NucleusError(f"{folder}: other users may access this folder; remove it, or choose a shorter --root")
        return folder / name

    def log_file(self, component: str) -> Path:
        """A component's log file.

        Raises:
            NucleusError: the name is not valid.
        """
        return self.logs / f"{_valid_name(component)}.log"

    def work_dir(self, component: str) -> Path:
        """A component's work directory.

        Raises:
            NucleusError: the name is not valid.
        """
        return self.work / _valid_name(component)

    def load_state(self) -> dict[str, Any]:
        """The saved state; empty: there is none.

        Raises:
            NucleusError: the file is corrupt.
        """
        try:
            state = json.loads(self._state.read_text())
            if not _is_state(state):
                raise ValueError("not a saved state")
            return dict(state)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise NucleusError(f"{self._state}: the saved configuration is corrupt ({error}); remove the file") from None

    def save_state(self, state: dict[str, Any]) -> None:
        fresh = self._state.with_suffix(".new")
        fresh.write_text(json.dumps(state))
        fresh.replace(self._state)

    def save_effective(self, document: dict[str, Any]) -> None:
        """Write the whole configuration as the classic nucleus does."""
        fresh = self.effective.with_suffix(".new")
        fresh.write_text(yaml.dump(document, Dumper=_Dumper, explicit_start=True, sort_keys=False, allow_unicode=True), encoding="utf-8")
        fresh.replace(self.effective)


def _valid_name(component: str) -> str:
    if error := component_name_error(component):
        raise NucleusError(error)
    return component


def _is_state(state: Any) -> bool:
    """Whether `configuration` has the shape of `ConfigStore.snapshot`: maps, and leaves `[value, timestamp]`."""
    waiting = [state.get("configuration", {})] if isinstance(state, dict) else [None]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
        elif not (isinstance(one, list) and len(one) == 2 and isinstance(one[1], int)):
            return False
    return True
