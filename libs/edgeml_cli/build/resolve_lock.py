"""Locks the components' requirements: `edgeml dev lock` writes `requirements.lock` beside each `requirements.txt`.

pip resolves for every target on this machine. It evaluates markers for the Python that runs it, so this module completes the
closure with the markers of each target. A target for which the index lacks wheels is skipped and reported.
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
from edgeml_cli.build.wheelhouse import NEWEST_GLIBC, PYTHONS, Lock, LockEntry, Target, WheelError, requirements_digest


@dataclass(frozen=True)
class Wheel:
    """A wheel selected by pip: its version, digest and requirements."""

    version: str
    sha256: str
    requires: tuple[Requirement, ...]


def applicable(lines: Iterable[str], target: Target) -> list[Requirement]:
    """The requirements whose markers apply to a target."""
    environment = {"platform_machine": target.machine, "python_version": target.python, "python_full_version": f"{target.python}.0"}
    environment |= {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "extra": ""}
    environment |= {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    parsed = [Requirement(line) for line in lines]
    return [each for each in parsed if each.marker is None or each.marker.evaluate(environment)]


def resolve(requirements: Iterable[Requirement], target: Target) -> dict[str, Wheel] | str:
    """Resolve the requirements and their closure; if a wheel is missing, return pip's message instead.

    Raises:
        WheelError: pip fails for another reason.
    """
    requested = [f"{each.name}{each.specifier}" for each in requirements]
    while True:
        found = _pip(requested, target)
        if isinstance(found, str):
            return found
        missing = {canonicalize_name(each.name) for each in _dependencies(found.values(), target)} - found.keys()
        if not missing:
            return found
        requested += sorted(missing)


def closure(requirements: Iterable[Requirement], known: Mapping[str, Wheel], target: Target) -> dict[str, Wheel]:
    """The wheels of `known` in the closure of the requirements."""
    selected: dict[str, Wheel] = {}
    remaining = list(requirements)
    while remaining:
        name = canonicalize_name(remaining.pop().name)
        if name not in selected:
            selected[name] = known[name]
            remaining += _dependencies([known[name]], target)
    return selected


def write_locks(root: Path) -> list[str]:
    """Write all locks; returns one sentence for each target without wheels."""
    files = {name: root / "components" / folder / "requirements.txt" for name, folder in COMPONENTS.items()}
    lines = {name: [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()] for name, path in files.items()}
    chosen: dict[str, dict[Target, dict[str, Wheel]]] = {name: {} for name in files}
    skipped = []
    for target in (Target(machine, python) for machine in NEWEST_GLIBC for python in PYTHONS):
        every = {str(each): each for name in files for each in applicable(lines[name], target)}
        known = resolve(every.values(), target)
        if isinstance(known, str):
            skipped.append(f"no wheels for {target}: {known}")
            continue
        for name in files:
            chosen[name][target] = closure(applicable(lines[name], target), known, target)
    for name, path in files.items():
        path.with_suffix(".lock").write_text(_lock(path, chosen[name]).text(), encoding="utf-8")
    return skipped


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
    return Lock(requirements_digest(path), tuple(sorted(chosen)), tuple(entries))


def _dependencies(wheels: Iterable[Wheel], target: Target) -> list[Requirement]:
    return applicable((str(each) for wheel in wheels for each in wheel.requires), target)


def _pip(requested: list[str], target: Target) -> dict[str, Wheel] | str:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--no-input"]
        command += ["--disable-pip-version-check", "--report", "-", "--target", folder, *target.options, *requested]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        if "No matching distribution" in last or "ResolutionImpossible" in last:
            return last.removeprefix("ERROR: ")
        raise WheelError(f"pip cannot resolve for {target}: {last}")
    wheels: dict[str, Wheel] = {}
    for item in json.loads(result.stdout)["install"]:
        metadata, archive = item["metadata"], item["download_info"]["archive_info"]
        requires = tuple(map(Requirement, metadata.get("requires_dist", ())))
        wheels[canonicalize_name(metadata["name"])] = Wheel(metadata["version"], archive["hashes"]["sha256"], requires)
    return wheels


def parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog="edgeml dev lock", description=(__doc__ or "").split("\n\n")[0])


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 when pip failed."""
    parser().parse_args(arguments)
    try:
        said = write_locks(ROOT)
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
