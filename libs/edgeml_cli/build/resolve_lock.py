"""Locks what the components need: `edgeml dev lock` writes `requirements.lock` beside each `requirements.txt`.

pip resolves for every target, on this machine. It evaluates markers by the Python that it runs on, so the closure is checked by those
of each target.
A target for which the index lacks wheels is left out and named.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edgeml_cli.build.package import COMPONENTS, ROOT
from edgeml_cli.build.wheelhouse import GLIBC, PYTHONS, Lock, LockEntry, Target, WheelError, digest


@dataclass(frozen=True)
class Wheel:
    """What pip chose: the version, the digest, and what it wants itself."""

    version: str
    sha256: str
    wants: tuple[Requirement, ...]


def wanted(lines: Iterable[str], target: Target) -> list[Requirement]:
    """The requirements that a target has."""
    environment = {"platform_machine": target.machine, "python_version": target.python, "python_full_version": f"{target.python}.0"}
    environment |= {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "extra": ""}
    environment |= {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    made = [Requirement(line) for line in lines]
    return [each for each in made if each.marker is None or each.marker.evaluate(environment)]


def resolve(requirements: Iterable[Requirement], target: Target) -> dict[str, Wheel] | str:
    """What pip chooses for the requirements and all that they need; or what it says of a wheel that is missing.

    Raises:
        WheelError: pip fails for another reason.
    """
    asked = [f"{each.name}{each.specifier}" for each in requirements]
    while True:
        found = _pip(asked, target)
        if isinstance(found, str):
            return found
        missing = {canonicalize_name(each.name) for each in _needs(found.values(), target)} - found.keys()
        if not missing:
            return found
        asked += sorted(missing)


def closure(requirements: Iterable[Requirement], known: Mapping[str, Wheel], target: Target) -> dict[str, Wheel]:
    """Those of `known` that the requirements come to."""
    chosen: dict[str, Wheel] = {}
    left = list(requirements)
    while left:
        name = canonicalize_name(left.pop().name)
        if name not in chosen:
            chosen[name] = known[name]
            left += _needs([known[name]], target)
    return chosen


def lock(root: Path) -> list[str]:
    """Write every lock; returns a sentence for each target that has none."""
    files = {name: root / "components" / folder / "requirements.txt" for name, folder in COMPONENTS.items()}
    lines = {name: [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()] for name, path in files.items()}
    chosen: dict[str, dict[Target, dict[str, Wheel]]] = {name: {} for name in files}
    said = []
    for target in (Target(machine, python) for machine in GLIBC for python in PYTHONS):
        every = {str(each): each for name in files for each in wanted(lines[name], target)}
        known = resolve(every.values(), target)
        if isinstance(known, str):
            said.append(f"no wheels for {target}: {known}")
            continue
        for name in files:
            chosen[name][target] = closure(wanted(lines[name], target), known, target)
    for name, path in files.items():
        path.with_suffix(".lock").write_text(_lock(path, chosen[name]).text(), encoding="utf-8")
    return said


def _lock(path: Path, chosen: Mapping[Target, Mapping[str, Wheel]]) -> Lock:
    targets: dict[str, set[Target]] = {}
    hashes: dict[str, set[str]] = {}
    for target, wheels in chosen.items():
        for name, wheel in wheels.items():
            requirement = f"{name}=={wheel.version}"
            targets.setdefault(requirement, set()).add(target)
            hashes.setdefault(requirement, set()).add(wheel.sha256)
    entries = [
        LockEntry(
            requirement, tuple(sorted(hashes[requirement])), frozenset() if targets[requirement] == chosen.keys() else frozenset(each)
        )
        for requirement, each in sorted(targets.items())
    ]
    return Lock(digest(path), tuple(sorted(chosen)), tuple(entries))


def _needs(wheels: Iterable[Wheel], target: Target) -> list[Requirement]:
    return wanted((str(each) for wheel in wheels for each in wheel.wants), target)


def _pip(asked: list[str], target: Target) -> dict[str, Wheel] | str:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--no-input"]
        command += ["--disable-pip-version-check", "--report", "-", "--target", folder, *target.options, *asked]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        last = (ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
        if "No matching distribution" in last or "ResolutionImpossible" in last:
            return last.removeprefix("ERROR: ")
        raise WheelError(f"pip cannot resolve for {target}: {last}")
    made: dict[str, Wheel] = {}
    for item in json.loads(ran.stdout)["install"]:
        about, archive = item["metadata"], item["download_info"]["archive_info"]
        wants = tuple(map(Requirement, about.get("requires_dist", ())))
        made[canonicalize_name(about["name"])] = Wheel(about["version"], archive["hashes"]["sha256"], wants)
    return made


def parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog="edgeml dev lock", description=(__doc__ or "").split("\n\n")[0])


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 when pip failed."""
    parser().parse_args(arguments)
    try:
        said = lock(ROOT)
    except WheelError as fault:
        print(f"edgeml dev lock: {fault}", file=sys.stderr)
        return 1
    for sentence in said:
        print(f"edgeml dev lock: {sentence}")
    for folder in COMPONENTS.values():
        made = Lock.read(ROOT / "components" / folder / "requirements.lock")
        print(f"components/{folder}/requirements.lock: {len(made.entries)} packages for {', '.join(map(str, made.targets))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
