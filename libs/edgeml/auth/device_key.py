"""The core's key: a file that all components of one Unix user find without being told, and nobody else may read.

A component may write into its own work directory alone; on both nuclei those of one core are siblings, and those of one user are open to
each other. So the key is `messages.key` in the first of `HOMES` that has one, or else in the component's own directory. Who finds
none makes it.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from edgeml.errors import AuthenticationError
from edgeml.storage.regular_files import open_plain

NAME = "messages.key"
HOMES = ("com.edgeml.AlertDispatcher", "com.edgeml.Inference", "com.edgeml.SensorIngestion")
"""Work directories in which the key is looked for, in this order, so that all agree on one."""
SHORTEST, LONGEST = 32, 4096
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EACCES)


class MessageAuthOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How messages that lead to an action are proved; every component has these."""

    required: Annotated[bool, Meta(description="a message that leads to an action is refused without a seal")] = True
    key_file: Annotated[
        str, Meta(description="a file with the core's key that its owner alone may read; empty: messages.key in the work directories")
    ] = ""
    secret: Annotated[str, Meta(description="a Greengrass secret with the core's key, by its ARN; on the classic nucleus only")] = ""

    def check(self, where: str) -> list[str]:
        if self.key_file and self.secret:
            return [f"`{where}.key_file` and `{where}.secret` are both set; set one to null"]
        return []


def places(work: Path) -> list[Path]:
    """Where the key may be, in the order in which it is looked for; `work` is the component's own directory."""
    own = work.absolute()
    return list(dict.fromkeys(place / NAME for place in (*(own.parent / home for home in HOMES), own)))


def obtain(work: Path, key_file: str = "") -> bytes:
    """The core's key: that of `key_file`, else the first that is there, else a new one.

    Raises:
        AuthenticationError: it cannot be read or made, is no key, or others may read it.
    """
    if key_file:
        return read(Path(key_file))
    for _ in range(3):
        found = find(work)
        if found is not None:
            return found
        make(work)  # and look again: another component may have been first, or have made one in an earlier place
    raise AuthenticationError(f"{work / NAME}: the core's key vanishes as soon as it is made; see what removes it")


def find(work: Path) -> bytes | None:
    """The first key that is there and this user's own.

    Raises:
        AuthenticationError: it is no key, or others may read it.
    """
    for place in places(work):
        try:
            found = place.lstat()
        except OSError as fault:
            if fault.errno in _ABSENT:
                continue
            raise AuthenticationError(f"{place}: the core's key cannot be read ({fault.strerror})") from None
        if found.st_uid == os.geteuid():
            return read(place, follow=False)
    return None


def make(work: Path) -> None:
    """A new key in the first place that this user may write to, whole or not at all; one that is there already is left alone.

    Raises:
        AuthenticationError: it cannot be written anywhere.
    """
    trouble: OSError | None = None
    for place in places(work):
        fresh = place.with_name(f"{NAME}.{secrets.token_hex(4)}")
        try:
            if place.parent != work.absolute() and place.parent.stat().st_uid != os.geteuid():
                continue
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(32) + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(fresh, place)
            return
        except FileExistsError:
            return
        except OSError as fault:
            trouble = trouble if fault.errno in _ABSENT and trouble is not None else fault
        finally:
            try:
                fresh.unlink(missing_ok=True)
            except OSError:
                pass
    reason = trouble.strerror if trouble is not None else "no such directory"
    raise AuthenticationError(
        f"{work / NAME}: the core's key cannot be made ({reason}); make the work directory writable, or name a key_file"
    )


def read(path: Path, follow: bool = True) -> bytes:
    """The key in a file: its text without the white space around it.

    Raises:
        AuthenticationError: it cannot be read, is no key, or others may read it.
    """
    try:
        with open_plain(path, follow=follow) as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise AuthenticationError(
                    f"{path}: others may read the core's key; run: chmod 600 {path}, and put a new key there if they did"
                )
            text = file.read(LONGEST + 1)
    except OSError as fault:
        if fault.errno == errno.EINVAL:
            raise AuthenticationError(f"{path}: the core's key is no plain file; put a file of {2 * SHORTEST} hex digits there") from None
        raise AuthenticationError(
            f"{path}: the core's key cannot be read ({fault.strerror}); wanted is a file that this component's user owns"
        ) from None
    return checked(text, str(path))


def checked(text: bytes, where: str) -> bytes:
    """The key in a text: all of it but the white space around it.

    Raises:
        AuthenticationError: it is too short to be one, or too long; names `where`.
    """
    key = text.strip()
    if not SHORTEST <= len(key) <= LONGEST:
        raise AuthenticationError(
            f"{where}: the core's key has {len(key)} characters, wanted are {SHORTEST} or more; openssl rand -hex 32 makes one"
        )
    return key
