"""A file that holds a place on the disk, and gives it up when the disk is full."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

LOOK_S = 5.0
RETAKE_S = 60.0


def free_bytes(folder: Path) -> int:
    """What a process may still write there; as if there was enough where the system does not tell."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 1 << 60


class DiskReserve:
    """`size` bytes in the file `path`, really allocated.

    Args:
        keep_free: bytes of the disk under which it is short.
        free: bytes that are free in a folder.

    Attributes:
        held: the place is there.
        short: the disk is short: too little is free, or the reserve was given up and could not be taken again.
    """

    def __init__(self, path: Path, size: int, keep_free: int, *, free: Callable[[Path], int] = free_bytes) -> None:
        self._path, self._size, self._keep_free, self._free = path, size, keep_free, free
        self._look_at = self._take_at = 0.0
        self.held = path.exists() and path.stat().st_size >= size
        if not self.held:
            self._take()
        self.short = self._short()

    def release(self) -> bool:
        """Give the place to whoever writes next; False if there was none to give."""
        had = self.held or self._path.exists()
        self._path.unlink(missing_ok=True)
        self.held, self.short = False, True
        if had:
            log.error("the disk of %s is full: the reserve of %d kB is used; free some space", self._path.parent, self._size // 1000)
        return had

    def look(self, now: float) -> bool:
        """Whether the disk is short; looks every `LOOK_S`, and takes a reserve that was given up again once there is place for it twice."""
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            if not self.held and now >= self._take_at:
                self._take_at = now + RETAKE_S
                self._take()
            self.short = self._short()
        return self.short

    def _short(self) -> bool:
        return not self.held or self._free(self._path.parent) < self._keep_free

    def _take(self) -> None:
        if self._size and self._free(self._path.parent) < 2 * self._size:
            return
        try:
            with self._path.open("wb") as file:
                if self._size:
                    os.posix_fallocate(file.fileno(), 0, self._size)
                os.fsync(file.fileno())
            self.held = True
        except OSError as fault:
            log.debug("the reserve cannot be taken: %s", fault)
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
