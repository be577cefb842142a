"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recordings, schemas and models that may stand beside a checkout; tests that need it skip without it."""
    path = Path(os.environ.get("EDGEML_SHARED") or REPOSITORY.parent / "shared")
    if not path.is_dir():
        pytest.skip(f"{path} is absent; set EDGEML_SHARED to the folder with data/, schemas/ and models/")
    return path
