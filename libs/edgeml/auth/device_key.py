"""The device key: a file that all components of one Unix user find without configuration, and no other user may read.

A component may write only into its own work directory. On both nuclei the work directories of one core are siblings, and those of one user
are open to each other. The key is therefore `messages.key` in the first of `HOMES` that has one, or else in the component's own directory.
A component that finds no key creates it.
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
"""Work directories that are searched for the key, in this order, so that all components agree on one."""
MIN_BYTES, MAX_BYTES = 32, 4096
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EACCES)


class MessageAuthOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Authentication of messages that lead to an action; every component has these options."""

    required: Annotated[bool, Meta(description="refuse messages that lead to an action unless they are signed")] = True
    key_file: Annotated[
        str, Meta(description="a file with the device key, readable only by its owner; empty: messages.key in the work directories")
    ] = ""
    secret: Annotated[str, Meta(description="ARN of a Greengrass secret with the device key; classic nucleus only")] = ""

    def check(self, where: str) -> list[str]:
        if self.key_file and self.secret:
            return [f"`{where}.key_file` and `{where}.secret` are both set; set one to null"]
        return []


def candidates(work: Path) -> list[Path]:
    """Possible paths of the key, in the order of the search; `work` is the component's own directory."""
    own = work.absolute()
    return list(dict.fromkeys(place / NAME for place in (*(own.parent / home for home in HOMES), own)))


def obtain(work: Path, key_file: str = "") -> bytes:
    """Return the device key: that of `key_file`, else the first one found, else a new one.

    Raises:
        AuthenticationError: it cannot be read or created, is not a valid key, or other users may read it.
    """
    if key_file:
        return read(Path(key_file))
    for _ in range(3):
        found = find(work)
        if found is not None:
            return found
        create(work)  # and search again: another component may have been first, or may have created one in an earlier place
    raise AuthenticationError(f"{work / NAME}: the device key disappears right after its creation; find out what removes it")


def find(work: Path) -> bytes | None:
    """Return the first existing key that belongs to this user.

    Raises:
        AuthenticationError: it is not a valid key, or other users may read it.
    """
    for place in candidates(work):
        try:
            found = place.lstat()
        except OSError as fault:
            if fault.errno in _ABSENT:
                continue
            raise AuthenticationError(f"{place}: the device key cannot be read ({fault.strerror})") from None
        if found.st_uid == os.geteuid():
            return read(place, follow=False)
    return None


def create(work: Path) -> None:
    """Create a key atomically in the first place that this user may write to; an existing key is left unchanged.

    Raises:
        AuthenticationError: it cannot be written anywhere.
    """
    failure: OSError | None = None
    for place in candidates(work):
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
            failure = failure if fault.errno in _ABSENT and failure is not None else fault
        finally:
            try:
                fresh.unlink(missing_ok=True)
            except OSError:
                pass
    reason = failure.strerror if failure is not None else "no such directory"
    raise AuthenticationError(
        f"{work / NAME}: the device key cannot be created ({reason}); make the work directory writable, or configure a key_file"
    )


def read(path: Path, follow: bool = True) -> bytes:
    """Read the key from a file.

    Raises:
        AuthenticationError: it cannot be read, is not a valid key, or other users may read it.
    """
    try:
        with open_plain(path, follow=follow) as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise AuthenticationError(
                    f"{path}: other users may read the device key; run: chmod 600 {path}, and replace the key if they may have read it"
                )
            text = file.read(MAX_BYTES + 1)
    except OSError as fault:
        if fault.errno == errno.EINVAL:
            raise AuthenticationError(
                f"{path}: the device key is not a regular file; put a file of {2 * MIN_BYTES} hex digits there"
            ) from None
        raise AuthenticationError(
            f"{path}: the device key cannot be read ({fault.strerror}); expected a file owned by this component's user"
        ) from None
    return parse_key(text, str(path))


def parse_key(text: bytes, where: str) -> bytes:
    """Return the key in a text, without surrounding white space.

    Raises:
        AuthenticationError: it is too short or too long; names `where`.
    """
    key = text.strip()
    if not MIN_BYTES <= len(key) <= MAX_BYTES:
        raise AuthenticationError(
            f"{where}: the device key has {len(key)} characters, expected at least {MIN_BYTES}; create one with openssl rand -hex 32"
        )
    return key
