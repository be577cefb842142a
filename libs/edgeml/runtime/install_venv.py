"""The install step of a component: a virtual environment with exactly what its requirements name.

    python3 edgeml/runtime/install_venv.py --requirements requirements.txt --venv DIR

DIR is a link into the folder `DIR.d` beside it. An environment is built there under a name made of what it holds. DIR is switched to it
when it is whole, and the one before is kept, so that going back to the older version of a component needs no package index. Whatever
fails, or kills the step, leaves DIR as it was.

Where `requirements.lock` stands beside the requirements and names this machine and Python, exactly the wheels whose digests it
names are installed. Where a folder `wheels` stands there too, they come from it and no package index is asked.
Requires only the standard library. A second run with the same requirements and the same Python does nothing. The syntax is
that of Python 3.6, so that an old interpreter gets a sentence and not a syntax error.
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

OLDEST = (3, 10)
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
"""Behind the link's name, the folder of its environments, each under a digest of what it holds."""
MOVED = "before"
"""In the store: an environment that was a folder of its own before there were links."""
LOCK = "lock"
TARGETS = "targets.txt"
"""In the folder of wheels: which machines and Pythons they are for."""

log = logging.getLogger("edgeml.runtime.install_venv")


class InstallError(Exception):
    """One sentence: what is missing, and the remedy."""


def install(requirements: "list[Path]", venv: Path) -> bool:
    """Make `venv` hold what the files in `requirements` name; False: it does already.

    The stamp in an environment names what it holds, one line a file, and is written when all is installed and on the disk.

    Raises:
        InstallError: this Python is too old or has no venv, a file is missing, pip failed, or the disk is full; `venv` is as it was.
    """
    check_python((sys.version_info[0], sys.version_info[1]))
    check_machine(sys.maxsize, platform.machine())
    try:
        sources = [_source(path) for path in requirements]
        wanted = sorted({_digest(listed) for listed, _ in sources})
        if _holds(venv, wanted):
            log.info("%s is up to date", venv)
            return False
        store = venv.absolute().with_name(venv.name + STORE)
        store.mkdir(parents=True, exist_ok=True)
        with (store / LOCK).open("w") as lock:
            # pip inherits the lock: where this process is killed alone, nobody touches what pip still writes to.
            fcntl.flock(lock, fcntl.LOCK_EX)
            _install(sources, wanted, venv.absolute(), store, lock.fileno())
    except OSError as fault:
        raise InstallError(f"{venv} cannot be made ({fault.strerror or fault}); mend that; what was installed before is kept") from None
    return True


def check_python(version: "tuple[int, ...]") -> None:
    """Raises InstallError unless a Python of this version, with the modules of this one, can make the environment."""
    if version[:2] < OLDEST:
        raise InstallError(f"python3 is {'.'.join(map(str, version[:2]))}, wanted is 3.10 or later; install a newer Python")
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise InstallError("this Python cannot make virtual environments; run `apt install python3-venv`")


def check_machine(largest: int, machine: str) -> None:
    """Raises InstallError for a Python of 32 bits, whatever the kernel has; `largest` is its `sys.maxsize`."""
    if largest < 2**32:
        raise InstallError(
            f"this is a 32-bit Python on {machine}, for which there are no wheels of what a component needs; "
            "install a 64-bit operating system"
        )


def _install(sources: "list[tuple[Path, list[str]]]", wanted: "list[str]", venv: Path, store: Path, lock: int) -> None:
    if not os.path.lexists(str(venv)) and (store / MOVED).is_dir():
        (store / MOVED).rename(venv)  # killed between the two renames of `_switch`
    fresh = store / hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:16]
    runs = venv.resolve()
    # What is older than the environment that runs goes first: there may be no room for three.
    _remove_all(store, {fresh, runs})
    if not _holds(fresh, wanted):
        try:
            _build(sources, wanted, fresh, lock)
        except BaseException:
            shutil.rmtree(str(fresh), ignore_errors=True)
            raise
    _switch(venv, fresh, store)
    _remove_all(store, {fresh, runs, store / MOVED})


def _build(sources: "list[tuple[Path, list[str]]]", wanted: "list[str]", fresh: Path, lock: int) -> None:
    shutil.rmtree(str(fresh), ignore_errors=True)
    log.info("making the virtual environment %s with Python %s", fresh, platform.python_version())
    # Scripts in an environment name its path, so it is built where it stays.
    _run([sys.executable, "-m", "venv", str(fresh)], f"the virtual environment {fresh} could not be made", lock)
    pip = [str(fresh / "bin" / "python"), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    # One file at a time: one that is locked would ask the others for digests too.
    for listed, options in sources:
        log.info("installing what %s names", listed)
        _run(pip + options + ["--requirement", str(listed)], f"pip could not install what {listed} names", lock)
    os.sync()
    (fresh / STAMP).write_text("".join(line + "\n" for line in wanted))


def _switch(venv: Path, fresh: Path, store: Path) -> None:
    """Let `venv` lead to `fresh`, at once."""
    link = venv.with_name(venv.name + ".new")
    if link.is_symlink():
        link.unlink()
    link.symlink_to(Path(store.name) / fresh.name, target_is_directory=True)
    if venv.is_dir() and not venv.is_symlink():
        venv.rename(store / MOVED)
    link.replace(venv)


def _remove_all(store: Path, but: "set[Path]") -> None:
    for each in store.iterdir():
        if each.is_dir() and each not in but:
            shutil.rmtree(str(each), ignore_errors=True)


def _holds(venv: Path, wanted: "list[str]") -> bool:
    """Whether an environment is whole, of this Python, and has all that is wanted; it may have more."""
    try:
        had = (venv / STAMP).read_text().split()
    except OSError:
        return False
    return (venv / "bin" / "python").exists() and set(wanted) <= set(had)


def _source(requirements: Path) -> "tuple[Path, list[str]]":
    """The file that pip is given for these requirements, and the options that go with it."""
    lock, wheels = requirements.with_suffix(".lock"), requirements.parent / "wheels"
    target = f"{platform.machine()}-{sys.version_info[0]}.{sys.version_info[1]}"
    locked = ["--require-hashes", "--only-binary=:all:"]
    if wheels.is_dir():
        brought = (wheels / TARGETS).read_text().split()
        if target not in brought:
            raise InstallError(
                f"{wheels} has wheels for {', '.join(brought)} and this is {target}; build the component with --wheels and --python "
                "for this device, or without --wheels to use a package index"
            )
        return lock, [*locked, "--no-index", "--find-links", str(wheels)]
    if not lock.is_file():
        return requirements, []
    if target in next((line.split()[2:] for line in lock.read_text().splitlines() if line.startswith("# targets:")), []):
        return lock, locked
    log.warning("%s has no digests for %s; the versions of %s are installed, whatever the index has under them", lock, target, requirements)
    return requirements, []


def _digest(requirements: Path) -> str:
    try:
        content = requirements.read_bytes()
    except OSError as fault:
        raise InstallError(f"{requirements} cannot be read ({fault.strerror}); deploy the component again") from None
    return f"{hashlib.sha256(content).hexdigest()}-{_interpreter()}"


def _interpreter() -> str:
    return f"{sys.implementation.name}-{sys.version_info[0]}.{sys.version_info[1]}-{platform.machine()}"


def _run(command: "list[str]", problem: str, lock: int) -> None:
    # What a package runs while it is built need not act as this component.
    environment = {name: value for name, value in os.environ.items() if name not in CREDENTIALS}
    code = subprocess.call(command, env=environment, pass_fds=(lock,))
    if code != 0:
        remedy = "mend what the lines above say, such as a package index out of reach; what was installed before is kept"
        raise InstallError(f"{problem} (exit code {code}); {remedy}")


def main() -> int:
    """Returns the exit code: 0, or 1 when it could not be done."""
    parser = argparse.ArgumentParser(description="Makes the virtual environment of a component.")
    parser.add_argument("--requirements", type=Path, required=True, action="append", help="a requirements file; may be repeated")
    parser.add_argument("--venv", type=Path, required=True, help="where the virtual environment is, or shall be")
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
