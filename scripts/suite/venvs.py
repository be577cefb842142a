"""One virtual environment for all components, made by their own install step, for where three would only cost time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from suite.build import COMPONENTS, ROOT

SHARED = ROOT / "build" / "venv-components"


def shared(place: Path = SHARED) -> Path:
    """Make or update the environment; returns `place`.

    A component whose `<work>/venv` is a link to it finds its requirements installed and begins at once. The `python3` that the
    recipes' install step will find must be the one that this uses: the first on the PATH.

    Raises:
        subprocess.CalledProcessError: the install step failed; what it said is on standard error.
    """
    command = ["python3", str(ROOT / "libs" / "edgeml" / "install.py"), "--venv", str(place)]
    for folder in COMPONENTS.values():
        command += ["--requirements", str(ROOT / "components" / folder / "requirements.txt")]
    place.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, check=True, stdout=sys.stderr)
    return place


def link(work: Path, place: Path) -> None:
    """Pre-place `place` as the virtual environment of each component whose work directory is under `work`."""
    for name in COMPONENTS:
        target = work / name / "venv"
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.symlink_to(place, target_is_directory=True)
