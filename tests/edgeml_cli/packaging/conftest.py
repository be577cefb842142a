"""A build of this checkout, shared by a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture(scope="session")
def recipe(built: Path, version: str) -> Callable[[str], dict[str, Any]]:
    """The built recipe of a component, by its full name."""
    return lambda name: yaml.safe_load((built / "recipes" / f"{name}-{version}.yaml").read_text())
