"""A file that reserves space on the disk, released when the disk is full."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

CHECK_S = 5.0
RETAKE_S = 60.0


def free_bytes(folder: Path) -> int:
    """Bytes that a process can still write there; a large number if the system does not report it."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 1 << 60


class DiskReserve:
    """`size` allocated bytes in the file `path`.

    Args:
        keep_free: minimum free bytes of the disk.
        free: returns the free bytes of a folder.

    Attributes:
        held: the space is reserved.
        short: the disk is nearly full: too little is free, or the reserve was released and cannot be restored.
    """

    def __init__(self, path: Path, size: int, keep_free: int, *, free: Callable[[Path], int] = free_bytes) -> None:
        self._path, self._size, self._keep_free, self._free = path, size, keep_free, free
        self._check_at = self._take_at = 0.0
        self.held = path.exists() and path.stat().st_size >= size
        if not self.held:
            self._take()
        self.short = self._short()

    def release(self) -> bool:
        """Release the space for the next write; False if there was none."""
        had = self.held or self._path.exists()
        self._path.unlink(missing_ok=True)
        self.held, self.short = False, True
        if had:
            log.error("the disk of %s is full: the reserve of %d kB is released; free some space", self._path.parent, self._size // 1000)
        return had

    def look(self, now: float) -> bool:
        """Whether the disk is nearly full; checks every `CHECK_S`, and restores a released reserve once twice its size is free."""
        if now >= self._check_at:
            self._check_at = now + CHECK_S
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
