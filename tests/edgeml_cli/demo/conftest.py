"""A place for the demo whose virtual environments are those that the pipeline's tests keep in `build/`."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def place(tmp_path: Path, venvs: dict[str, Path]) -> Path:
    """What `--out` names."""
    for component, venv in venvs.items():
        work = tmp_path / "demo" / "nucleus" / "work" / component
        work.mkdir(parents=True)
        (work / "venv").symlink_to(venv)
    return tmp_path / "demo"
