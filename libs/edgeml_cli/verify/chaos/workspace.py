"""A directory for the runs: the built suite, the components' virtual environments, and a nucleus's root for each run."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeml_cli.build.package import COMPONENTS, ROOT, BuildError, Project, build


@dataclass(frozen=True)
class Workspace:
    """
    Attributes:
        path: holds everything.
        profile: of the nucleus.
        venvs: holds a virtual environment for each component's folder; None: they are made under `path`.
    """

    path: Path
    profile: str
    venvs: Path | None = None

    @property
    def built(self) -> Path:
        return self.path / "greengrass-build"

    @property
    def version(self) -> str:
        """Of the suite."""
        return Project.read(ROOT).version

    def set_up(self, say: Callable[[str], None]) -> None:
        """Build, and make what the install steps would make in each run; the first time this downloads packages.

        Raises:
            BuildError: packages cannot be installed.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        build(ROOT, self.built)
        for folder in COMPONENTS.values():
            requirements = ROOT / "components" / folder / "requirements.txt"
            install = str(ROOT / "libs" / "edgeml" / "runtime" / "install_venv.py")
            command = [sys.executable, install, "--venv", str(self._venv(folder)), "--requirements", str(requirements)]
            if not self._venv(folder).is_dir():
                say(f"Fetching the packages of {folder}; this takes a minute.")
            made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if made.returncode:
                raise BuildError(f"the packages of {folder} cannot be installed; pip says: {made.stdout[-2000:]}")

    def root(self, name: str) -> Path:
        """An empty root of a nucleus, in which every component's virtual environment is made already."""
        root = self.path / name
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(mode=0o700, parents=True)
        for component, folder in COMPONENTS.items():
            work = root / "work" / component
            work.mkdir(parents=True)
            (work / "venv").symlink_to(self._venv(folder))
        return root

    def _venv(self, folder: str) -> Path:
        return (self.venvs or self.path / "venvs") / folder


def silence_gglocal() -> None:
    """What goes on in the nuclei stands in the components' logs; on the terminal it would hide the faults."""
    logger = logging.getLogger("gglocal")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
