"""A directory for the demo that reuses the virtual environments of the pipeline tests in `build/`."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def place(tmp_path: Path, venvs: dict[str, Path]) -> Path:
    """The directory for `--out`."""
    for component, venv in venvs.items():
        work = tmp_path / "demo" / "nucleus" / "work" / component
        work.mkdir(parents=True)
        (work / "venv").symlink_to(venv)
    return tmp_path / "demo"
