"""Lock files and their wheels: written by `edgeml dev lock`, shipped by `edgeml build --wheels`.

A lock is a requirements file for pip's hash-checking mode. It lists every package in the closure of a component's requirements,
with one version and the digests of its wheels. If targets differ, an entry has a marker for its targets. This module needs the
standard library and pip only.
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

NEWEST_GLIBC: dict[str, int] = {"x86_64": 28, "aarch64": 28}
"""By machine, the minor version of the newest glibc 2 that a wheel may require: that of Debian 10 and Ubuntu 20.04."""
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
_MARKER = re.compile(r'platform_machine == "(\w+)" and python_version == "([\d.]+)"')


class WheelError(Exception):
    """A missing lock or wheel; the text is one sentence with the remedy."""


@dataclass(frozen=True, order=True)
class Target:
    """A kind of device: its machine, as printed by `uname -m`, and its Python version."""

    machine: str
    python: str

    def __str__(self) -> str:
        return f"{self.machine}-{self.python}"

    @property
    def options(self) -> list[str]:
        """The options that make pip resolve for this target instead of this machine."""
        glibc = [f"manylinux_2_{minor}" for minor in range(NEWEST_GLIBC[self.machine], 4, -1)]
        platforms = [f"{tag}_{self.machine}" for tag in (*glibc, "manylinux2014", "manylinux2010", "manylinux1", "linux")]
        options = ["--only-binary=:all:", "--implementation", "cp", "--python-version", self.python]
        return options + [word for platform in platforms for word in ("--platform", platform)]


@dataclass(frozen=True)
class LockEntry:
    """One package of a lock; an empty `targets` means all targets."""

    requirement: str
    hashes: tuple[str, ...]
    targets: frozenset[Target]

    def applies_to(self, target: Target) -> bool:
        return not self.targets or target in self.targets

    def text(self, marker: bool = True) -> str:
        """The entry's lines in a requirements file."""
        markers = (f'(platform_machine == "{each.machine}" and python_version == "{each.python}")' for each in sorted(self.targets))
        head = f"{self.requirement} ; {' or '.join(markers)}" if marker and self.targets else self.requirement
        return " \\\n".join((head, *(f"    --hash=sha256:{digest}" for digest in self.hashes))) + "\n"


@dataclass(frozen=True)
class Lock:
    """A lock file: the digest of its requirements file, its targets and its packages."""

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
        """Read a lock file.

        Raises:
            WheelError: the file is missing or is not a lock file.
        """
        try:
            text = path.read_text(encoding="utf-8")
            found = {key: re.search(rf"^# {key}: (.*)$", text, re.MULTILINE)[1] for key in ("requirements", "targets")}  # type: ignore[index]
        except (OSError, TypeError) as fault:
            raise WheelError(f"{path} is not a readable lock file ({fault}); create it with edgeml dev lock") from None
        entries = [_entry(block) for block in re.findall(r"^[^#\s](?:.*\\\n)*.*\n", text, re.MULTILINE)]
        return cls(found["requirements"], tuple(Target(*each.split("-")) for each in found["targets"].split()), tuple(entries))


def requirements_digest(requirements: Path) -> str:
    """The digest of a requirements file, as recorded in its lock."""
    return hashlib.sha256(requirements.read_bytes()).hexdigest()


def current_lock(requirements: Path) -> Lock:
    """Read the lock beside a requirements file and check that it is up to date.

    Raises:
        WheelError: the lock is missing or outdated.
    """
    lock = Lock.read(requirements.with_suffix(".lock"))
    if lock.requirements != requirements_digest(requirements):
        raise WheelError(f"{requirements.with_suffix('.lock')} is outdated: {requirements} has changed; run edgeml dev lock")
    return lock


def parse_targets(platforms: Iterable[str], pythons: Iterable[str]) -> list[Target]:
    """The targets selected by `--wheels linux-aarch64,linux-x86_64 --python 3.11`.

    Raises:
        WheelError: a platform or a Python version is unknown.
    """
    known = ", ".join(f"linux-{machine}" for machine in NEWEST_GLIBC)
    machines, versions = [], list(pythons)
    for platform in platforms:
        system, _, machine = platform.partition("-")
        if system != "linux" or machine not in NEWEST_GLIBC:
            raise WheelError(f"--wheels: unknown platform {platform!r}; valid platforms are {known}")
        machines.append(machine)
    unknown = [version for version in versions if version not in PYTHONS]
    if unknown or not versions:
        raise WheelError(f"--python: unknown version {', '.join(unknown) or repr('')}; wheels are locked for {', '.join(PYTHONS)}")
    return [Target(machine, version) for machine in machines for version in versions]


def download(lock: Lock, target: Target, cache: Path) -> list[Path]:
    """Download the wheels of a target and verify their digests; wheels downloaded before come from `cache`.

    Raises:
        WheelError: the lock does not have this target, or pip failed.
    """
    if target not in lock.targets:
        raise WheelError(
            f"no wheels for {target}, because the package index lacks some; available targets are {', '.join(map(str, lock.targets))}"
        )
    requirements = "".join(entry.text(marker=False) for entry in lock.entries if entry.applies_to(target))
    folder = cache / f"{target}-{hashlib.sha256(requirements.encode()).hexdigest()[:16]}"
    if not folder.is_dir():
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        listed = cache / f"{folder.name}.txt"
        listed.write_text(requirements, encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", "--requirement", str(listed), "--dest", str(partial), *target.options]
        if subprocess.call(command) != 0:
            raise WheelError(
                f"pip could not download the wheels for {target}; correct the error above, such as an unreachable package index"
            )
        partial.rename(folder)
    return sorted(folder.glob("*.whl"))


def _entry(block: str) -> LockEntry:
    head, *hashes = (part.strip() for part in block.replace("\\\n", "\n").strip().split("\n"))
    requirement, _, marker = head.partition(" ; ")
    named = frozenset(Target(machine, python) for machine, python in _MARKER.findall(marker))
    return LockEntry(requirement, tuple(each.removeprefix("--hash=sha256:") for each in hashes), named)
