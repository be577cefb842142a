"""The install step of a component: a virtual environment with exactly what its requirements name.

    python3 edgeml/install.py --requirements requirements.txt --venv DIR

Where `requirements.lock` stands beside the requirements and names this machine and Python, exactly the wheels whose digests it
names are installed. Where a folder `wheels` stands there too, they come from it and no package index is asked.
Needs nothing but the standard library. A second run with the same requirements and the same Python does nothing. The syntax is
that of Python 3.6, so that an old interpreter gets a sentence and not a syntax error.
"""

import argparse
import hashlib
import importlib.util
import logging
import platform
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 10)
STAMP = ".edgeml-installed"
TARGETS = "targets.txt"
"""In the folder of wheels: which machines and Pythons they are for."""

log = logging.getLogger("edgeml.install")


class InstallError(Exception):
    """One sentence: what is missing, and the remedy."""


def install(requirements: "list[Path]", venv: Path) -> bool:
    """Make `venv` hold what the files in `requirements` name; False: it does already.

    `venv` may be a link to a directory. The stamp in it names what was installed last, one line a file, and is written when
    all is done: an install that was cut short is begun anew.

    Raises:
        InstallError: this Python is too old or has no venv, a file is missing, or pip failed.
    """
    check_python((sys.version_info[0], sys.version_info[1]))
    check_machine(sys.maxsize, platform.machine())
    sources = [_source(path) for path in requirements]
    wanted = sorted({_digest(listed) for listed, _ in sources})
    stamp, python = venv / STAMP, venv / "bin" / "python"
    had = stamp.read_text().split() if stamp.is_file() else []
    usable = python.exists() and any(line.endswith(_interpreter()) for line in had)
    if usable and set(wanted) <= set(had):
        log.info("%s is up to date", venv)
        return False
    if stamp.is_file():
        stamp.unlink()
    if not usable:
        log.info("making the virtual environment %s with Python %s", venv, platform.python_version())
        _run([sys.executable, "-m", "venv", "--clear", str(venv.resolve())], f"the virtual environment {venv} could not be made")
    names = ", ".join(map(str, requirements))
    log.info("installing what %s names", names)
    command = [str(python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    # One file at a time: one that is locked would ask the others for digests too.
    for listed, options in sources:
        _run(command + options + ["--requirement", str(listed)], f"pip could not install what {listed} names")
    stamp.write_text("".join(line + "\n" for line in wanted))
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


def _run(command: "list[str]", problem: str) -> None:
    code = subprocess.call(command)
    if code != 0:
        raise InstallError(f"{problem} (exit code {code}); mend what the lines above say, such as a package index out of reach")


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
