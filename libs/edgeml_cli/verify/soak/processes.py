"""The resource usage of a process, from /proc."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

KIB = 1024.0
_PROC = Path("/proc")


@dataclass(frozen=True)
class Usage:
    """The usage of one process at one time.

    Attributes:
        rss_mib: resident memory.
        pss_mib: resident memory, with shared pages divided among the processes that share them.
        private_mib: resident memory that no other process maps. A file's pages are no longer private once another process maps them.
        anonymous_mib: resident memory without files, that is, allocated memory.
        threads, descriptors: their numbers.
    """

    rss_mib: float
    pss_mib: float
    private_mib: float
    anonymous_mib: float
    threads: int
    descriptors: int


def usage(pid: int) -> Usage:
    """Read the usage of a process.

    Raises:
        OSError: the process does not exist, or belongs to another user.
    """
    place = _PROC / str(pid)
    sizes: dict[str, float] = {}
    for line in (place / "smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":", 1)
        sizes[name] = int(value.split()[0]) / KIB
    return Usage(
        sizes["Rss"],
        sizes["Pss"],
        sizes["Private_Clean"] + sizes["Private_Dirty"],
        sizes["Anonymous"],
        len(list((place / "task").iterdir())),
        len(list((place / "fd").iterdir())),
    )
