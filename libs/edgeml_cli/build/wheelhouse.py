"""Lock files, and the wheels that they name: what edgeml dev lock writes and scripts/build --wheels ships.

A lock is a requirements file of pip in its hash-checking mode: every package that a component comes to, in one version, with the digests of
its wheels; where targets differ, with a marker for the targets that it is for. Needs nothing but the standard library and pip.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

GLIBC: dict[str, int] = {"x86_64": 28, "aarch64": 28}
"""Machines, and the minor version of the newest glibc 2 that a wheel for them may want: Debian 10, Ubuntu 20.04."""
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
_MARKER = re.compile(r'platform_machine == "(\w+)" and python_version == "([\d.]+)"')


class WheelError(Exception):
    """One sentence: what is wrong, where, the remedy."""


@dataclass(frozen=True, order=True)
class Target:
    """A kind of device: its machine, as `uname -m` has it, and its Python."""

    machine: str
    python: str

    def __str__(self) -> str:
        return f"{self.machine}-{self.python}"

    @property
    def options(self) -> list[str]:
        """What tells pip to choose for this target and not for this machine."""
        glibc = [f"manylinux_2_{minor}" for minor in range(GLIBC[self.machine], 4, -1)]
        platforms = [f"{tag}_{self.machine}" for tag in (*glibc, "manylinux2014", "manylinux2010", "manylinux1", "linux")]
        options = ["--only-binary=:all:", "--implementation", "cp", "--python-version", self.python]
        return options + [word for platform in platforms for word in ("--platform", platform)]


@dataclass(frozen=True)
class LockEntry:
    """One package of a lock; `targets` is empty for all."""

    requirement: str
    hashes: tuple[str, ...]
    targets: frozenset[Target]

    def suits(self, target: Target) -> bool:
        return not self.targets or target in self.targets

    def text(self, marker: bool = True) -> str:
        """Its lines in a requirements file."""
        named = (f'(platform_machine == "{each.machine}" and python_version == "{each.python}")' for each in sorted(self.targets))
        head = f"{self.requirement} ; {' or '.join(named)}" if marker and self.targets else self.requirement
        return " \\\n".join((head, *(f"    --hash=sha256:{digest}" for digest in self.hashes))) + "\n"


@dataclass(frozen=True)
class Lock:
    """A lock file: of which requirements it was made, for which targets, and its packages."""

    requirements: str
    targets: tuple[Target, ...]
    entries: tuple[LockEntry, ...]

    def text(self) -> str:
        return (
            "# What requirements.txt comes to on each target, with the digests of the wheels. Made by edgeml dev lock, not by hand.\n"
            f"# requirements: {self.requirements}\n# targets: {' '.join(map(str, self.targets))}\n"
        ) + "".join(entry.text() for entry in self.entries)

    @classmethod
    def read(cls, path: Path) -> Lock:
        """
        Raises:
            WheelError: it is no lock of these.
        """
        try:
            text = path.read_text(encoding="utf-8")
            found = {key: re.search(rf"^# {key}: (.*)$", text, re.MULTILINE)[1] for key in ("requirements", "targets")}  # type: ignore[index]
        except (OSError, TypeError) as fault:
            raise WheelError(f"{path} is no lock that can be read ({fault}); make it with edgeml dev lock") from None
        entries = [_entry(block) for block in re.findall(r"^[^#\s](?:.*\\\n)*.*\n", text, re.MULTILINE)]
        return cls(found["requirements"], tuple(Target(*each.split("-")) for each in found["targets"].split()), tuple(entries))


def digest(requirements: Path) -> str:
    """Of a requirements file, as its lock names it."""
    return hashlib.sha256(requirements.read_bytes()).hexdigest()


def fresh(requirements: Path) -> Lock:
    """The lock beside a requirements file.

    Raises:
        WheelError: there is none, or it was made of other requirements.
    """
    lock = Lock.read(requirements.with_suffix(".lock"))
    if lock.requirements != digest(requirements):
        raise WheelError(f"{requirements.with_suffix('.lock')} was made of other requirements than {requirements}; run edgeml dev lock")
    return lock


def targets(platforms: Iterable[str], pythons: Iterable[str]) -> list[Target]:
    """What `--wheels linux-aarch64,linux-x86_64 --python 3.11` names.

    Raises:
        WheelError: a machine or a Python is unknown.
    """
    known = ", ".join(f"linux-{machine}" for machine in GLIBC)
    machines, versions = [], list(pythons)
    for platform in platforms:
        system, _, machine = platform.partition("-")
        if system != "linux" or machine not in GLIBC:
            raise WheelError(f"--wheels {platform!r} is unknown; known are {known}")
        machines.append(machine)
    wrong = [version for version in versions if version not in PYTHONS]
    if wrong or not versions:
        raise WheelError(f"--python {', '.join(wrong) or 'is empty'}: wheels are locked for {', '.join(PYTHONS)}")
    return [Target(machine, version) for machine in machines for version in versions]


def download(lock: Lock, target: Target, cache: Path) -> list[Path]:
    """The wheels of a target, verified by their digests; those that were fetched before are taken from `cache`.

    Raises:
        WheelError: the lock does not have this target, or pip failed.
    """
    if target not in lock.targets:
        raise WheelError(
            f"there are no wheels for {target}: the package index lacks some of them; there are for {', '.join(map(str, lock.targets))}"
        )
    wanted = "".join(entry.text(marker=False) for entry in lock.entries if entry.suits(target))
    folder = cache / f"{target}-{hashlib.sha256(wanted.encode()).hexdigest()[:16]}"
    if not folder.is_dir():
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        listed = cache / f"{folder.name}.txt"
        listed.write_text(wanted, encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", "--requirement", str(listed), "--dest", str(partial), *target.options]
        if subprocess.call(command) != 0:
            raise WheelError(f"pip could not fetch the wheels for {target}; mend what the lines above say, such as an index out of reach")
        partial.rename(folder)
    return sorted(folder.glob("*.whl"))


def _entry(block: str) -> LockEntry:
    head, *hashes = (part.strip() for part in block.replace("\\\n", "\n").strip().split("\n"))
    requirement, _, marker = head.partition(" ; ")
    named = frozenset(Target(machine, python) for machine, python in _MARKER.findall(marker))
    return LockEntry(requirement, tuple(each.removeprefix("--hash=sha256:") for each in hashes), named)
