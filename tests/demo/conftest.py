"""A place for the demo whose virtual environments are those that the pipeline's tests keep in `build/`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.conftest import venvs  # noqa: F401


@pytest.fixture
def place(tmp_path: Path, venvs: dict[str, Path]) -> Path:  # noqa: F811
    """What `--out` names."""
    for component, venv in venvs.items():
        work = tmp_path / "demo" / "nucleus" / "work" / component
        work.mkdir(parents=True)
        (work / "venv").symlink_to(venv)
    return tmp_path / "demo"
