"""Opens files named by a configuration or another process, and only regular files.

A FIFO or a device in place of a file would block the whole component: opening one waits for its writer, reading one for its data.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, cast

MAX_BYTES = 64 * 1024 * 1024


def open_plain(path: Path, *, follow: bool = True) -> BinaryIO:
    """Open the regular file at `path` for reading, without blocking.

    Args:
        follow: follow symbolic links.

    Raises:
        OSError: it does not exist, cannot be read, or is not a regular file (EINVAL; ELOOP for a link that is not followed).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW))
    except ValueError:  # a NUL in the path
        raise OSError(errno.ENOENT, "has a NUL in its name", str(path)) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        return cast(BinaryIO, os.fdopen(descriptor, "rb"))
    except BaseException:
        os.close(descriptor)
        raise


def plain_bytes(path: Path, max_bytes: int = MAX_BYTES, *, follow: bool = True) -> bytes:
    """Read the whole regular file at `path`.

    Raises:
        OSError: as `open_plain`, or it has more than `max_bytes` bytes (EFBIG).
    """
    with open_plain(path, follow=follow) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(min(size, max_bytes) + 1)  # the memory is allocated as requested
        if size <= max_bytes and len(content) > size:  # the file has grown
            content += file.read(max_bytes + 1 - len(content))
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"has more than {max_bytes} bytes", str(path))
    return content
