"""The install step of a component: create a virtual environment with exactly the packages of its requirements.

    python3 edgeml/runtime/install_venv.py --requirements requirements.txt --venv DIR

DIR is a link into the folder `DIR.d` beside it. An environment is built there under a digest of its requirements. DIR is switched to
it when it is complete. The previous environment is kept, so that a rollback of the component needs no package index. A failure or a
kill at any point leaves DIR unchanged.

If there is a `requirements.lock` beside the requirements that names this machine and Python, exactly the wheels with its digests
are installed. If there is a folder `wheels` too, they are installed from it, without a package index.

This module needs only the standard library. It is idempotent: a second run with the same requirements and Python does nothing.
Its syntax is that of Python 3.6, so that an old interpreter reports a sentence and not a syntax error.
"""

import argparse
import fcntl
import hashlib
import importlib.util
import logging
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

MIN_PYTHON = (3, 10)
STAMP = ".edgeml-installed"
CREDENTIALS = (
    "SVCUID",
    "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH",
    "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)
"""As in `edgeml.runtime.subprocess_env`, which cannot be imported before the installation."""
STORE = ".d"
"""Suffix of the folder with the environments of a link, each under a digest of its requirements."""
MOVED = "before"
"""Folder in the store for the environment of a version that used no links."""
LOCK = "lock"
TARGETS = "targets.txt"
"""File in the folder of wheels that lists their machines and Pythons."""

log = logging.getLogger("edgeml.runtime.install_venv")


class InstallError(Exception):
    """One sentence with the problem and the remedy."""


def install(requirements: "list[Path]", venv: Path) -> bool:
    """Install the packages of the files in `requirements` into `venv`; False: they are installed already.

    The stamp in an environment has a digest for each requirements file. It is written when all packages are installed and synced.

    Raises:
        InstallError: this Python is too old or has no venv, a file is missing, pip failed, or the disk is full; `venv` is unchanged.
    """
    check_python((sys.version_info[0], sys.version_info[1]))
    check_machine(sys.maxsize, platform.machine())
    try:
        sources = [_source(path) for path in requirements]
        required = sorted({_digest(listed) for listed, _ in sources})
        if _has(venv, required):
            log.info("%s is up to date", venv)
            return False
        store = venv.absolute().with_name(venv.name + STORE)
        store.mkdir(parents=True, exist_ok=True)
        with (store / LOCK).open("w") as lock:
            # pip inherits the lock: if only this process is killed, no other one touches the files that pip still writes.
            fcntl.flock(lock, fcntl.LOCK_EX)
            _install(sources, required, venv.absolute(), store, lock.fileno())
    except OSError as fault:
        raise InstallError(
            f"{venv} cannot be created ({fault.strerror or fault}); correct that; the previous environment is kept"
        ) from None
    return True


def check_python(version: "tuple[int, ...]") -> None:
    """Raise InstallError unless a Python of this version, with the modules of this one, can create the environment."""
    if version[:2] < MIN_PYTHON:
        raise InstallError(f"python3 is {'.'.join(map(str, version[:2]))}, expected 3.10 or later; install a newer Python")
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise InstallError("this Python cannot create virtual environments; run `apt install python3-venv`")


def check_machine(largest: int, machine: str) -> None:
    """Raise InstallError for a 32-bit Python, even on a 64-bit kernel; `largest` is its `sys.maxsize`."""
    if largest < 2**32:
        raise InstallError(
            f"this is a 32-bit Python on {machine}, for which a component's packages have no wheels; install a 64-bit operating system"
        )


def _install(sources: "list[tuple[Path, list[str]]]", required: "list[str]", venv: Path, store: Path, lock: int) -> None:
    if not os.path.lexists(str(venv)) and (store / MOVED).is_dir():
        (store / MOVED).rename(venv)  # a kill came between the two renames of `_switch`
    fresh = store / hashlib.sha256("\n".join(required).encode()).hexdigest()[:16]
    runs = venv.resolve()
    # Environments older than the running one are removed first: the disk may have no space for three.
    _remove_all(store, {fresh, runs})
    if not _has(fresh, required):
        try:
            _build(sources, required, fresh, lock)
        except BaseException:
            shutil.rmtree(str(fresh), ignore_errors=True)
            raise
    _switch(venv, fresh, store)
    _remove_all(store, {fresh, runs, store / MOVED})


def _build(sources: "list[tuple[Path, list[str]]]", required: "list[str]", fresh: Path, lock: int) -> None:
    shutil.rmtree(str(fresh), ignore_errors=True)
    log.info("creating the virtual environment %s with Python %s", fresh, platform.python_version())
    # Scripts in an environment contain its path, so it is built in its final place.
    _run([sys.executable, "-m", "venv", str(fresh)], f"the virtual environment {fresh} could not be created", lock)
    pip = [str(fresh / "bin" / "python"), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    # One file at a time: with a locked file, pip would require digests in the others too.
    for listed, options in sources:
        log.info("installing the packages of %s", listed)
        _run(pip + options + ["--requirement", str(listed)], f"pip could not install the packages of {listed}", lock)
    os.sync()
    (fresh / STAMP).write_text("".join(line + "\n" for line in required))


def _switch(venv: Path, fresh: Path, store: Path) -> None:
    """Let `venv` point to `fresh`, atomically."""
    link = venv.with_name(venv.name + ".new")
    if link.is_symlink():
        link.unlink()
    link.symlink_to(Path(store.name) / fresh.name, target_is_directory=True)
    if venv.is_dir() and not venv.is_symlink():
        venv.rename(store / MOVED)
    link.replace(venv)


def _remove_all(store: Path, keep: "set[Path]") -> None:
    for each in store.iterdir():
        if each.is_dir() and each not in keep:
            shutil.rmtree(str(each), ignore_errors=True)


def _has(venv: Path, required: "list[str]") -> bool:
    """Whether an environment is complete, of this Python, and has all the required digests; it may have more."""
    try:
        installed = (venv / STAMP).read_text().split()
    except OSError:
        return False
    return (venv / "bin" / "python").exists() and set(required) <= set(installed)


def _source(requirements: Path) -> "tuple[Path, list[str]]":
    """Return the requirements file for pip, and pip's options for it."""
    lock, wheels = requirements.with_suffix(".lock"), requirements.parent / "wheels"
    target = f"{platform.machine()}-{sys.version_info[0]}.{sys.version_info[1]}"
    locked = ["--require-hashes", "--only-binary=:all:"]
    if wheels.is_dir():
        available = (wheels / TARGETS).read_text().split()
        if target not in available:
            raise InstallError(
                f"{wheels} has wheels for {', '.join(available)}, but this device is {target}; build the "
                "component with --wheels and --python "
                "for this device, or without --wheels to use a package index"
            )
        return lock, [*locked, "--no-index", "--find-links", str(wheels)]
    if not lock.is_file():
        return requirements, []
    if target in next((line.split()[2:] for line in lock.read_text().splitlines() if line.startswith("# targets:")), []):
        return lock, locked
    log.warning(
        "%s has no digests for %s; the versions of %s are installed from the index without verification", lock, target, requirements
    )
    return requirements, []


def _digest(requirements: Path) -> str:
    try:
        content = requirements.read_bytes()
    except OSError as fault:
        raise InstallError(f"{requirements} cannot be read ({fault.strerror}); redeploy the component") from None
    return f"{hashlib.sha256(content).hexdigest()}-{_interpreter()}"


def _interpreter() -> str:
    return f"{sys.implementation.name}-{sys.version_info[0]}.{sys.version_info[1]}-{platform.machine()}"


def _run(command: "list[str]", problem: str, lock: int) -> None:
    # Build scripts of packages must not get the credentials of this component.
    environment = {name: value for name, value in os.environ.items() if name not in CREDENTIALS}
    code = subprocess.call(command, env=environment, pass_fds=(lock,))
    if code != 0:
        remedy = "correct the cause in the lines above, such as an unreachable package index; the previous environment is kept"
        raise InstallError(f"{problem} (exit code {code}); {remedy}")


def main() -> int:
    """Run the step; returns the exit code, 0 or 1."""
    parser = argparse.ArgumentParser(description="Create the virtual environment of a component.")
    parser.add_argument("--requirements", type=Path, required=True, action="append", help="a requirements file; may be repeated")
    parser.add_argument("--venv", type=Path, required=True, help="path of the virtual environment")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        install(arguments.requirements, arguments.venv)
    except InstallError as fault:
        log.error("%s", fault)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
