"""The virtual environments of a checkout: whether one has the packages that a verb needs, and how they are installed.

Requires only the standard library: `scripts/env` runs this file by its path, before anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STAMP = ".edgeml-env"
"""In an environment that `scripts/env` made: Python's version, the checkout, the digest of the projects, then the extras."""


class EnvironmentFailed(Exception):
    """The environment could not be made; `scripts/env` has reported why."""


def projects(root: Path) -> list[Path]:
    """The project's pyproject.toml, and those of the libraries that are distributions of their own."""
    return [root / "pyproject.toml", *sorted(root.glob("libs/*/pyproject.toml"))]


def stamp(root: Path, extras: Iterable[str], python: str) -> list[str]:
    """The lines that describe an environment."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in projects(root))).hexdigest()
    return [python, str(root), digest, *sorted(set(extras))]


def installed(venv: Path) -> list[str]:
    """The lines of an environment's stamp; none: there is no whole environment."""
    file = venv / STAMP
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() and (venv / "bin" / "python").exists() else []


def plan(root: Path, venv: Path, extras: Iterable[str], python: str) -> tuple[str, list[str]]:
    """The task of `scripts/env` (`current`, `update` or `new`), and the stamp of the environment afterwards."""
    before, after = installed(venv), stamp(root, extras, python)
    if before[:2] != after[:2]:
        return "new", after
    together = stamp(root, (*after[3:], *before[3:]), python)
    return ("current" if together == before else "update"), together


def requirements(extras: Iterable[str], root: Path = ROOT) -> set[str]:
    """The distributions that pyproject.toml names for the base and for extras, normalised."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in projects(root))
    found = set()
    for name in ("dependencies", *extras):
        for listed in re.findall(rf"^{name} = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL):
            found |= {re.sub(r"[-_.]+", "-", each).lower() for each in re.findall(r'"([A-Za-z0-9._-]+)[^"]*"', listed)}
    return found


def missing(extras: Iterable[str], root: Path = ROOT) -> set[str]:
    """The distributions that this interpreter lacks of the base and of extras."""
    return {name for name in requirements(extras, root) if not _has(name)}


def _has(name: str) -> bool:
    import importlib.metadata  # takes as long as all else that `edgeml` imports, and an environment with a stamp needs none of it

    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def suits(extras: Iterable[str], root: Path = ROOT) -> bool:
    """Whether this interpreter can run a verb with these extras.

    An environment that `scripts/env` made must be up to date with pyproject.toml. Any other interpreter need only have the
    distributions, so that a developer's own environment is used as it is.
    """
    lines = installed(Path(sys.prefix))
    if lines and lines[1:3] != stamp(root, (), "")[1:3]:
        return False
    return (bool(lines) and set(extras) <= set(lines[3:])) or not missing(extras, root)


def make(venv: str, extras: Iterable[str], root: Path = ROOT) -> Path:
    """Create or update an environment; returns its interpreter.

    Raises:
        EnvironmentFailed: it could not be made.
    """
    if not (root / "scripts" / "env").is_file():
        raise EnvironmentFailed(f"{root} is not a checkout of edgeml; clone the repository and run its scripts/edgeml")
    environ = dict(os.environ)
    # The interpreter below this environment: the environment itself may have to be replaced.
    environ.setdefault("PYTHON", getattr(sys, "_base_executable", sys.executable))
    command = [str(root / "scripts" / "env"), "--venv", str(root / venv), *extras]
    ran = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, check=False)
    if ran.returncode:
        raise EnvironmentFailed(f"the environment {venv} could not be made; see above, then run this again")
    return Path(ran.stdout.strip().splitlines()[-1])


def main(arguments: list[str]) -> int:
    """`environments.py ROOT VENV [EXTRA...]`: prints the plan, then the stamp, for `scripts/env`."""
    root, venv, *extras = arguments
    how, lines = plan(Path(root), Path(venv), extras, ".".join(map(str, sys.version_info[:2])))
    print("\n".join((how, *lines)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
