"""A build of this checkout, once a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from suite import build


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `greengrass-build` directory."""
    out = tmp_path_factory.mktemp("built") / "greengrass-build"
    build.build(build.ROOT, out)
    return out


@pytest.fixture(scope="session")
def version() -> str:
    return build.Project.read(build.ROOT).version


@pytest.fixture(scope="session")
def recipe(built: Path, version: str) -> Callable[[str], dict[str, Any]]:
    """The built recipe of a component, by its full name."""
    return lambda name: yaml.safe_load((built / "recipes" / f"{name}-{version}.yaml").read_text())
