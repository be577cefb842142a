"""The built suite, and its components' virtual environments, made once for all tests here."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from suite.build import build
from tests.pipeline.line import COMPONENTS, Line

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "greengrass-build"
    build(ROOT, out)
    return out


@pytest.fixture(scope="session")
def version(built: Path) -> str:
    return next((built / "artifacts" / COMPONENTS[0]).iterdir()).name


@pytest.fixture(scope="session")
def venvs() -> dict[str, Path]:
    """Kept in `build/` from one test run to the next; the install step makes them anew only when the requirements change."""
    made = {}
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / "test-venvs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests may run in several processes
        _install(made)
    return made


def _install(made: dict[str, Path]) -> None:
    for component, folder in zip(COMPONENTS, ("sensor_ingestion", "inference", "alert_dispatcher"), strict=True):
        venv = made[component] = ROOT / "build" / "test-venvs" / folder
        venv.parent.mkdir(parents=True, exist_ok=True)
        install = [sys.executable, ROOT / "libs/edgeml/install.py", "--venv", venv]
        subprocess.run([*install, "--requirements", ROOT / "components" / folder / "requirements.txt"], check=True)


@pytest.fixture
def line(tmp_path: Path, built: Path, venvs: dict[str, Path]) -> Iterator[Callable[..., Line]]:
    """Starts a local nucleus with everything ready to be deployed: `line(profile="classic")`."""
    started: list[Line] = []

    def start(**options: Any) -> Line:
        made = Line(tmp_path / f"root{len(started)}", built, venvs, **options)
        started.append(made)
        return made

    yield start
    for made in started:
        made.close()
