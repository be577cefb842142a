"""A local nucleus on which the built suite is ready to be deployed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.line import Line


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
