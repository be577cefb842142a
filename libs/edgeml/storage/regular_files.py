"""Opens files that a configuration or another process names: plain files alone.

A FIFO or a device in the place of a file would hold up the whole component: opening one waits for its writer, reading one for its data.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, cast

MOST_BYTES = 64 * 1024 * 1024


def open_plain(path: Path, *, follow: bool = True) -> BinaryIO:
    """The plain file at `path`, to read. Never waits.

    Args:
        follow: symbolic links may lead to it.

    Raises:
        OSError: it is not there, cannot be read, or is no plain file (EINVAL; a link that is not to be followed: ELOOP).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW))
    except ValueError:  # a NUL in the path
        raise OSError(errno.ENOENT, "has a NUL in its name", str(path)) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is no plain file", str(path))
        return cast(BinaryIO, os.fdopen(descriptor, "rb"))
    except BaseException:
        os.close(descriptor)
        raise


def plain_bytes(path: Path, most: int = MOST_BYTES, *, follow: bool = True) -> bytes:
    """All of the plain file at `path`.

    Raises:
        OSError: as `open_plain`, or it has more than `most` bytes (EFBIG).
    """
    with open_plain(path, follow=follow) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(min(size, most) + 1)  # as much memory is taken as is asked for
        if size <= most and len(content) > size:  # it has grown since
            content += file.read(most + 1 - len(content))
    if len(content) > most:
        raise OSError(errno.EFBIG, f"has more than {most} bytes", str(path))
    return content
