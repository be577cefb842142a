"""Faults inside a component's processes: a library that is preloaded into them, and the file by which each component's is told.

The library is `preload.c`, compiled by the user's C compiler into the nucleus's root; Linux with the GNU C library.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import subprocess
from collections import defaultdict
from pathlib import Path

from gglocal.errors import NucleusError

SOURCE = Path(__file__).with_name("preload.c")
_CONTROL = struct.Struct("<qi4x")
"""As `struct control` in the source, on the machine's own byte order, which is little on all that Greengrass runs on."""


class PreloadLibrary:
    """Its state by component; used on the nucleus's loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._library = _compiled(folder)
        self._clock_ns: dict[str, int] = defaultdict(int)
        self._full: dict[str, int] = defaultdict(int)

    def environment(self, component: str, work: Path) -> dict[str, str]:
        """What the component's processes are started with."""
        self._write(component)
        return {
            "LD_PRELOAD": str(self._library),
            "GGLOCAL_SHIM_CONTROL": str(self._control(component)),
            "GGLOCAL_SHIM_UNDER": os.path.realpath(work),
        }

    def step_clock(self, component: str, by_s: float) -> None:
        """Set its wall clock on, or back, by so many seconds more."""
        self._clock_ns[component] += round(by_s * 1e9)
        self._write(component)

    def fill_disk(self, component: str, more: int) -> None:
        """Its work directory is full while this was called more often with 1 than with -1."""
        self._full[component] += more
        self._write(component)

    def _write(self, component: str) -> None:
        # Written in place: processes have it mapped.
        told = _CONTROL.pack(self._clock_ns[component], int(self._full[component] > 0))
        file = os.open(self._control(component), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(file, told, 0)
        finally:
            os.close(file)

    def _control(self, component: str) -> Path:
        return self._folder / f"{component}.control"


def compiler() -> str | None:
    """The C compiler: `$CC`, else `cc`; None: there is none."""
    return shutil.which(os.environ.get("CC") or "cc")


def _compiled(folder: Path) -> Path:
    """The library, compiled once for each version of its source.

    Raises:
        NucleusError: there is no compiler, or it fails.
    """
    source = SOURCE.read_bytes()
    library = folder / f"shim-{hashlib.sha256(source).hexdigest()[:16]}.so"
    if library.exists():
        return library
    found = compiler()
    if found is None:
        raise NucleusError("faults in processes need a C compiler, and there is no cc; install one, such as: apt install gcc libc6-dev")
    folder.mkdir(parents=True, exist_ok=True)
    fresh = library.with_suffix(f".{os.getpid()}")
    done = subprocess.run(
        [found, "-shared", "-fPIC", "-O2", "-o", str(fresh), str(SOURCE), "-ldl", "-lpthread"], capture_output=True, text=True
    )
    if done.returncode:
        raise NucleusError(f"{SOURCE}: {found} cannot compile it, so there are no faults in processes; it says: {done.stderr[:500]}")
    fresh.replace(library)
    return library
