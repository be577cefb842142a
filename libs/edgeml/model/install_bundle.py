"""The steps of a model component: its bundle, where Inference finds it.

    python3 install_bundle.py --bundle DIR --work DIR [--judge DIR] [--mend]

`install` runs it without `--mend`, `run` with it. The bundle is copied to `WORK/bundles/DIGEST`, a name that its content makes, and
then `WORK/current`, one line with that name, is replaced: a reader sees the old bundle or the new one, whole. Then the step waits a
while for what the reader makes of it, which the reader writes into its own work directory, `--judge`: a bundle that is refused fails
the step, and so the deployment. With `--mend` a bundle that stands whole, and was not refused, is left as it is. Needs nothing but
the standard library. The syntax is that of Python 3.6.
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
VERDICT = "verdict"
MAX_BYTES = 64 * 1024 * 1024
PATIENCE_S = 15.0
"""How long a reader is waited for: one that runs looks every second, and one that does not run yet looks when it starts."""

log = logging.getLogger("edgeml.model.install_bundle")


def place(bundle: Path, work: Path) -> Path:
    """Place the files of `bundle` below `work`; gives the folder. Others that were placed there before are removed.

    Raises:
        OSError: something cannot be read or written; what was placed before stays.
    """
    digest = hashlib.sha256()
    contents = _contents(bundle)
    for name, content in contents.items():
        digest.update(b"%s\0%d\0" % (name.encode(), len(content)) + content)
    folders = work / FOLDERS
    target = folders / digest.hexdigest()
    # What is there and right is left alone: a kill must not find it half exchanged for itself.
    if not _is(target, contents):
        _fill(target, contents)
    _write(work / (POINTER + ".new"), (target.name + "\n").encode())
    (work / (POINTER + ".new")).replace(work / POINTER)
    _sync(work)
    for other in folders.iterdir():
        if other != target:
            shutil.rmtree(str(other), ignore_errors=True)
    return target


def _is(folder: Path, contents: "dict[str, bytes]") -> bool:
    """Whether a folder has exactly these files."""
    try:
        if {path.name for path in folder.iterdir()} != set(contents):
            return False
        return all(path.is_file() and not path.is_symlink() and _read(path)[0] == contents[path.name] for path in folder.iterdir())
    except OSError:
        return False


def _fill(target: Path, contents: "dict[str, bytes]") -> None:
    """Make the folder `target`, whole or not at all; one of this name that is there was altered, and goes."""
    fresh = target.with_name(target.name + ".new")
    shutil.rmtree(str(fresh), ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        for name, content in contents.items():
            _write(fresh / name, content)
        shutil.rmtree(str(target), ignore_errors=True)
        fresh.rename(target)
    except OSError:
        shutil.rmtree(str(fresh), ignore_errors=True)  # on a full disk its part would be in the way
        raise
    _sync(target.parent)


def placed(work: Path) -> "tuple[Path, tuple[int, int]] | None":
    """The folder of the bundle that was placed below `work`, and what tells this placing from a later one; None: there is none."""
    try:
        content, about = _read(work / POINTER, 80)
        name = content.decode("ascii").strip()
    except (OSError, ValueError):
        return None
    # The name comes from another component's folder: nothing but a digest is followed.
    if not re.fullmatch("[0-9a-f]{64}", name):
        return None
    return work / FOLDERS / name, (about.st_ino, about.st_mtime_ns)


def stands(bundle: Path, work: Path) -> bool:
    """Whether what is placed below `work` is the files of `bundle`, byte for byte."""
    found = placed(work)
    try:
        return found is not None and _contents(bundle) == _contents(found[0])
    except OSError:
        return False


def judge(work: Path, placing: "tuple[int, int]", fault: str) -> None:
    """Say in `work`, the reader's own, what became of a placing; an empty fault: it is taken.

    Raises:
        OSError: it cannot be written.
    """
    fresh = work / (VERDICT + ".new")
    fresh.write_text(json.dumps({"placing": list(placing), "fault": fault}), encoding="utf-8")
    fresh.replace(work / VERDICT)


def verdict(work: Path, placing: "tuple[int, int]") -> "str | None":
    """What the reader whose work directory this is said of a placing: its fault, empty when it is taken; None: nothing yet."""
    try:
        said = json.loads(_read(work / VERDICT)[0].decode("utf-8"))
        return str(said["fault"]) if tuple(said["placing"]) == placing else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def awaited(judge_work: Path, work: Path, patience_s: float = PATIENCE_S) -> "str | None":
    """The verdict on what is placed in `work`, waited for; None: there was none in time."""
    found, end = placed(work), time.monotonic() + patience_s
    while found is not None and judge_work.is_dir():
        said = verdict(judge_work, found[1])
        if said is not None or time.monotonic() >= end:
            return said
        time.sleep(0.1)
    return None


def _read(path: Path, most: int = MAX_BYTES) -> "tuple[bytes, os.stat_result]":
    """A plain file, and what the system knows of it; as `edgeml.storage.regular_files`, which this step does not have. A FIFO must not hold up its reader.

    Raises:
        OSError: it cannot be read, is no plain file, or has more than `most` bytes.
    """
    opened = os.open(str(path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(opened, "rb") as file:
        about = os.fstat(opened)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "is no plain file", str(path))
        content = file.read(min(about.st_size, most) + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"has more than {most} bytes", str(path))
    return content, about


def _contents(folder: Path) -> "dict[str, bytes]":
    """Its plain files by name, in the order of their names."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and not path.is_symlink())
    return {name: _read(folder / name)[0] for name in names}


def _refused(judge_work: "Path | None", work: Path) -> bool:
    found = placed(work)
    return judge_work is not None and found is not None and bool(verdict(judge_work, found[1]))


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
    """Returns the exit code: 0, or 1 when it could not be done."""
    parser = argparse.ArgumentParser(description="Places the bundle of a model component where Inference finds it.")
    parser.add_argument("--bundle", type=Path, required=True, help="the folder with manifest.json and model.tflite")
    parser.add_argument("--work", type=Path, required=True, help="the component's work directory")
    parser.add_argument("--judge", type=Path, help="the work directory of the component that takes the bundle or refuses it")
    parser.add_argument("--mend", action="store_true", help="leave a bundle that stands whole and was not refused")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        # A refusal may be out of date: placed again, the bundle is judged again.
        if arguments.mend and stands(arguments.bundle, arguments.work) and not _refused(arguments.judge, arguments.work):
            log.info("the bundle stands whole in %s", arguments.work / FOLDERS)
        else:
            log.info("the bundle is placed in %s", place(arguments.bundle, arguments.work))
    except OSError as fault:
        log.error("%s: %s; nothing is changed; deploy the component again", fault.filename or arguments.bundle, fault.strerror)
        return 1
    said = None if arguments.judge is None else awaited(arguments.judge, arguments.work)
    if said:
        log.error("%s", said)
        return 1
    if arguments.judge is not None:
        news = "takes the bundle" if said == "" else "has not looked at the bundle yet; it does when it runs"
        log.info("%s %s", arguments.judge.name, news)
    return 0


if __name__ == "__main__":
    sys.exit(main())
