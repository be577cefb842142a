"""The run step of a model component: its bundle, where Inference finds it.

    python3 place.py --bundle DIR --work DIR

The bundle is copied to `WORK/bundles/DIGEST`, a name that its content makes, and then `WORK/current`, one line with that name, is
replaced: a reader sees the old bundle or the new one, whole. Needs nothing but the standard library. The syntax is that of Python 3.6.
"""

import argparse
import hashlib
import logging
import os
import re
import shutil
import sys
from pathlib import Path

POINTER = "current"
FOLDERS = "bundles"

log = logging.getLogger("edgeml.place")


def place(bundle: Path, work: Path) -> Path:
    """Place the files of `bundle` below `work`; gives the folder. Others that were placed there before are removed.

    Raises:
        OSError: something cannot be read or written; what was placed before stays.
    """
    names = sorted(path.name for path in bundle.iterdir() if path.is_file() and not path.is_symlink())
    digest = hashlib.sha256()
    contents = {name: (bundle / name).read_bytes() for name in names}
    for name, content in contents.items():
        digest.update(b"%s\0%d\0" % (name.encode(), len(content)) + content)
    folders = work / FOLDERS
    target = folders / digest.hexdigest()
    fresh = folders / (target.name + ".new")
    shutil.rmtree(str(fresh), ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, content in contents.items():
        _write(fresh / name, content)
    # A folder of this name may be an altered one: what is known to be right takes its place.
    shutil.rmtree(str(target), ignore_errors=True)
    fresh.rename(target)
    _sync(folders)
    _write(work / (POINTER + ".new"), (target.name + "\n").encode())
    (work / (POINTER + ".new")).replace(work / POINTER)
    _sync(work)
    for other in folders.iterdir():
        if other != target:
            shutil.rmtree(str(other), ignore_errors=True)
    return target


def placed(work: Path) -> "tuple[Path, tuple[int, int]] | None":
    """The folder of the bundle that was placed below `work`, and what tells this placing from a later one; None: there is none."""
    try:
        with (work / POINTER).open(encoding="ascii") as file:
            about, name = os.fstat(file.fileno()), file.read(80).strip()
    except (OSError, ValueError):
        return None
    # The name comes from another component's folder: nothing but a digest is followed.
    if not re.fullmatch("[0-9a-f]{64}", name):
        return None
    return work / FOLDERS / name, (about.st_ino, about.st_mtime_ns)


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
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        log.info("the bundle is placed in %s", place(arguments.bundle, arguments.work))
    except OSError as fault:
        log.error("%s: %s; nothing is changed; deploy the component again", fault.filename or arguments.bundle, fault.strerror)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
