"""A directory for chaos runs: the built suite, the components' virtual environments, and a nucleus root for each run."""

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
    """A directory for chaos runs.

    Attributes:
        path: the directory.
        profile: profile of the nucleus.
        venvs: directory with a virtual environment for each component's folder; None creates them under `path`.
    """

    path: Path
    profile: str
    venvs: Path | None = None

    @property
    def built(self) -> Path:
        return self.path / "greengrass-build"

    @property
    def version(self) -> str:
        """The suite's version."""
        return Project.read(ROOT).version

    def set_up(self, say: Callable[[str], None]) -> None:
        """Build the suite and install the components' packages. The first call downloads packages.

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
                say(f"Downloading the packages of {folder}; this takes a minute.")
            result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if result.returncode:
                raise BuildError(f"the packages of {folder} cannot be installed; output of pip: {result.stdout[-2000:]}")

    def root(self, name: str) -> Path:
        """Create an empty nucleus root that contains the components' virtual environments."""
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
    """Keep gglocal's log off the terminal, where it would hide the faults; the nucleus's log files have it."""
    logger = logging.getLogger("gglocal")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
