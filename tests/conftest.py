"""What all tests share."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeml_cli.build import package
from tests.fast import pytest_collection_modifyitems, pytest_configure, pytest_runtest_call, pytest_runtest_protocol

__all__ = ["pytest_collection_modifyitems", "pytest_configure", "pytest_runtest_call", "pytest_runtest_protocol"]

REPOSITORY = Path(__file__).resolve().parent.parent

# A shell's background job ignores Ctrl-C, and so would every process that a test starts and then interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def logging_stays_on() -> Iterator[None]:
    """A test that disables logging for its whole process takes away what later tests look for in the log."""
    yield
    assert logging.root.manager.disable == 0, "this test has disabled logging; do it in a process of its own"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recordings, schemas and models that may stand beside a checkout; tests that need it skip without it."""
    path = Path(os.environ.get("EDGEML_SHARED") or REPOSITORY.parent / "shared")
    if not path.is_dir():
        pytest.skip(f"{path} is absent; set EDGEML_SHARED to the folder with data/, schemas/ and models/")
    return path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `greengrass-build` directory of this checkout."""
    out = tmp_path_factory.mktemp("built") / "greengrass-build"
    package.build(REPOSITORY, out)
    return out


@pytest.fixture(scope="session")
def version() -> str:
    """The suite's."""
    return package.Project.read(REPOSITORY).version


@pytest.fixture(scope="session")
def venvs() -> dict[str, Path]:
    """Each component's virtual environment, by the component's full name.

    Kept in `build/` from one run of the tests to the next: the install step makes them anew when the requirements change.
    """
    made: dict[str, Path] = {}
    place = REPOSITORY / "build" / "test-venvs"
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests may run in several processes
        for component, folder in package.COMPONENTS.items():
            made[component] = place / folder
            requirements = REPOSITORY / "components" / folder / "requirements.txt"
            command = [
                sys.executable,
                str(REPOSITORY / "libs/edgeml/runtime/install_venv.py"),
                "--venv",
                str(made[component]),
                "--requirements",
                str(requirements),
            ]
            subprocess.run(command, check=True)
    return made
