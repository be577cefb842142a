"""The lifecycle step of a model component: installs its bundle where Inference finds it.

    python3 install_bundle.py --bundle DIR --work DIR [--reader DIR] [--repair]

`install` runs it without `--repair`, `run` with it. The step copies the bundle to `WORK/bundles/DIGEST`, a name derived from its content,
and then replaces `WORK/current`, one line with that name, so that a reader sees either the old bundle or the new one. Then it waits a
while for the reader's result, which the reader writes into its own work directory, `--reader`. If the reader refuses the bundle, the step
fails, and so does the deployment. With `--repair`, a complete bundle that was not refused is left unchanged. The step needs only the
standard library. The syntax is that of Python 3.6.
"""

import argparse
import errno
import hashlib
import json
import logging
import os
import re
import shutil
import stat
import sys
import time
from pathlib import Path

POINTER = "current"
FOLDERS = "bundles"
RESULT = "result"
MAX_BYTES = 64 * 1024 * 1024
PATIENCE_S = 15.0
"""Timeout of the wait for the reader: a running one checks every second, another one checks when it starts."""

log = logging.getLogger("edgeml.model.install_bundle")


def install(bundle: Path, work: Path) -> Path:
    """Install the files of `bundle` below `work`, remove earlier bundles, and return the folder.

    Raises:
        OSError: a file cannot be read or written; the earlier bundle stays installed.
    """
    digest = hashlib.sha256()
    contents = _contents(bundle)
    for name, content in contents.items():
        digest.update(b"%s\0%d\0" % (name.encode(), len(content)) + content)
    folders = work / FOLDERS
    target = folders / digest.hexdigest()
    # A correct folder is left unchanged: a kill must not find it half replaced by itself.
    if not _has(target, contents):
        _fill(target, contents)
    _write(work / (POINTER + ".new"), (target.name + "\n").encode())
    (work / (POINTER + ".new")).replace(work / POINTER)
    _sync(work)
    for other in folders.iterdir():
        if other != target:
            shutil.rmtree(str(other), ignore_errors=True)
    return target


def _has(folder: Path, contents: "dict[str, bytes]") -> bool:
    """Whether a folder has exactly these files."""
    try:
        if {path.name for path in folder.iterdir()} != set(contents):
            return False
        return all(path.is_file() and not path.is_symlink() and _read(path)[0] == contents[path.name] for path in folder.iterdir())
    except OSError:
        return False


def _fill(target: Path, contents: "dict[str, bytes]") -> None:
    """Create the folder `target` atomically; an existing one of this name was altered and is deleted."""
    fresh = target.with_name(target.name + ".new")
    shutil.rmtree(str(fresh), ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        for name, content in contents.items():
            _write(fresh / name, content)
        shutil.rmtree(str(target), ignore_errors=True)
        fresh.rename(target)
    except OSError:
        shutil.rmtree(str(fresh), ignore_errors=True)  # on a full disk the partial copy would take up space
        raise
    _sync(target.parent)


def installed(work: Path) -> "tuple[Path, tuple[int, int]] | None":
    """The folder of the bundle installed below `work`, and an id of this installation; None: there is none."""
    try:
        content, status = _read(work / POINTER, 80)
        name = content.decode("ascii").strip()
    except (OSError, ValueError):
        return None
    # The name comes from another component's folder, so only a digest is accepted.
    if not re.fullmatch("[0-9a-f]{64}", name):
        return None
    return work / FOLDERS / name, (status.st_ino, status.st_mtime_ns)


def is_installed(bundle: Path, work: Path) -> bool:
    """Whether the bundle installed below `work` equals `bundle`, byte for byte."""
    found = installed(work)
    try:
        return found is not None and _contents(bundle) == _contents(found[0])
    except OSError:
        return False


def report_result(work: Path, installation: "tuple[int, int]", fault: str) -> None:
    """Write into `work`, the reader's work directory, the result of an installation; an empty fault: the bundle is accepted.

    Raises:
        OSError: it cannot be written.
    """
    fresh = work / (RESULT + ".new")
    fresh.write_text(json.dumps({"installation": list(installation), "fault": fault}), encoding="utf-8")
    fresh.replace(work / RESULT)


def read_result(work: Path, installation: "tuple[int, int]") -> "str | None":
    """The result that the reader has written into its work directory: a fault, empty if the bundle is accepted; None: there is none yet."""
    try:
        result = json.loads(_read(work / RESULT)[0].decode("utf-8"))
        return str(result["fault"]) if tuple(result["installation"]) == installation else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def wait_for_result(reader_work: Path, work: Path, patience_s: float = PATIENCE_S) -> "str | None":
    """Wait for the result of the installation in `work`; None: there was none in time."""
    found, end = installed(work), time.monotonic() + patience_s
    while found is not None and reader_work.is_dir():
        result = read_result(reader_work, found[1])
        if result is not None or time.monotonic() >= end:
            return result
        time.sleep(0.1)
    return None


def _read(path: Path, max_bytes: int = MAX_BYTES) -> "tuple[bytes, os.stat_result]":
    """Read a regular file and its status, like `edgeml.storage.regular_files`, which this step cannot import. A FIFO must not block it.

    Raises:
        OSError: it cannot be read, is not a regular file, or has more than `max_bytes` bytes.
    """
    opened = os.open(str(path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(opened, "rb") as file:
        status = os.fstat(opened)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        content = file.read(min(status.st_size, max_bytes) + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"has more than {max_bytes} bytes", str(path))
    return content, status


def _contents(folder: Path) -> "dict[str, bytes]":
    """The regular files of a folder, sorted by name."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and not path.is_symlink())
    return {name: _read(folder / name)[0] for name in names}


def _refused(reader_work: "Path | None", work: Path) -> bool:
    found = installed(work)
    return reader_work is not None and found is not None and bool(read_result(reader_work, found[1]))


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    opened = os.open(str(folder), os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def main() -> int:
    """Run the step; returns the exit code: 0, or 1 on a failure."""
    parser = argparse.ArgumentParser(description="Installs the bundle of a model component where Inference finds it.")
    parser.add_argument("--bundle", type=Path, required=True, help="the folder with manifest.json and model.tflite")
    parser.add_argument("--work", type=Path, required=True, help="the component's work directory")
    parser.add_argument("--reader", type=Path, help="the work directory of the component that accepts or refuses the bundle")
    parser.add_argument("--repair", action="store_true", help="leave a complete bundle unchanged unless it was refused")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        # A refusal may be out of date: a repeated installation makes the reader verify the bundle again.
        if arguments.repair and is_installed(arguments.bundle, arguments.work) and not _refused(arguments.reader, arguments.work):
            log.info("the bundle is installed already in %s", arguments.work / FOLDERS)
        else:
            log.info("the bundle was installed in %s", install(arguments.bundle, arguments.work))
    except OSError as fault:
        log.error(
            "%s: %s; installation failed, no changes were made; redeploy the component", fault.filename or arguments.bundle, fault.strerror
        )
        return 1
    result = None if arguments.reader is None else wait_for_result(arguments.reader, arguments.work)
    if result:
        log.error("%s", result)
        return 1
    if arguments.reader is not None:
        outcome = "accepted the bundle" if result == "" else "has not verified the bundle yet; it will when it runs"
        log.info("%s %s", arguments.reader.name, outcome)
    return 0


if __name__ == "__main__":
    sys.exit(main())
