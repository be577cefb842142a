"""What a process uses, as Linux tells in /proc."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

KIB = 1024.0
_PROC = Path("/proc")


@dataclass(frozen=True)
class Usage:
    """Of one process, at one moment.

    Attributes:
        rss_mib: resident memory.
        pss_mib: resident memory, of which what several processes share counts in parts.
        private_mib: resident memory that it shares with nobody; a file's pages are no longer private once another process maps them too.
        anonymous_mib: resident memory without files: what it has allocated.
        threads, descriptors: how many.
    """

    rss_mib: float
    pss_mib: float
    private_mib: float
    anonymous_mib: float
    threads: int
    descriptors: int


def usage(pid: int) -> Usage:
    """
    Raises:
        OSError: there is no such process, or it belongs to somebody else.
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
