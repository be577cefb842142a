"""Faults inside a component's processes: a preloaded library, and the control file of each component.

The library is `preload.c`, compiled by the user's C compiler into the nucleus's root folder. It needs Linux with the GNU C
library.
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
"""As `struct control` in the source; every platform of Greengrass is little-endian."""


class PreloadLibrary:
    """The compiled library and the faults of each component; used on the nucleus's event loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._library = _compiled(folder)
        self._clock_ns: dict[str, int] = defaultdict(int)
        self._full_disks: dict[str, int] = defaultdict(int)

    def environment(self, component: str, work: Path) -> dict[str, str]:
        """The variables with which the component's processes are started."""
        self._write(component)
        return {
            "LD_PRELOAD": str(self._library),
            "GGLOCAL_SHIM_CONTROL": str(self._control(component)),
            "GGLOCAL_SHIM_UNDER": os.path.realpath(work),
        }

    def step_clock(self, component: str, by_s: float) -> None:
        """Step the component's wall clock; negative: back. Steps add up."""
        self._clock_ns[component] += round(by_s * 1e9)
        self._write(component)

    def fill_disk(self, component: str, change: int) -> None:
        """Count a fault (1) or its end (-1); the component's work directory is full while the sum is positive."""
        self._full_disks[component] += change
        self._write(component)

    def _write(self, component: str) -> None:
        # Written in place, because processes have mapped the file.
        content = _CONTROL.pack(self._clock_ns[component], int(self._full_disks[component] > 0))
        file = os.open(self._control(component), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(file, content, 0)
        finally:
            os.close(file)

    def _control(self, component: str) -> Path:
        return self._folder / f"{component}.control"


def compiler() -> str | None:
    """The C compiler: `$CC`, else `cc`; None: it is not installed."""
    return shutil.which(os.environ.get("CC") or "cc")


def _compiled(folder: Path) -> Path:
    """Compile the library once for each version of its source.

    Raises:
        NucleusError: no compiler is installed, or it fails.
    """
    source = SOURCE.read_bytes()
    library = folder / f"shim-{hashlib.sha256(source).hexdigest()[:16]}.so"
    if library.exists():
        return library
    program = compiler()
    if program is None:
        raise NucleusError("no C compiler found, which faults in processes need; install one, such as: apt install gcc libc6-dev")
    folder.mkdir(parents=True, exist_ok=True)
    fresh = library.with_suffix(f".{os.getpid()}")
    done = subprocess.run(
        [program, "-shared", "-fPIC", "-O2", "-o", str(fresh), str(SOURCE), "-ldl", "-lpthread"], capture_output=True, text=True
    )
    if done.returncode:
        raise NucleusError(f"{SOURCE}: {program} could not compile the library for faults in processes: {done.stderr[:500]}")
    fresh.replace(library)
    return library
