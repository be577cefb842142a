"""Pytest fixtures for tests of components on a local nucleus: `gglocal` and `gglocal_factory`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gglocal.api.nucleus import Nucleus


@pytest.fixture
def gglocal_factory(tmp_path: Path) -> Iterator[Callable[..., Nucleus]]:
    """Start nuclei: `gglocal_factory(profile="classic", error_reset=1)`; they are stopped after the test.

    Accepts the arguments of `gglocal.api.nucleus.Nucleus`; the default of `root` is a new temporary folder.
    """
    from gglocal.api.nucleus import Nucleus

    started: list[Nucleus] = []

    def start(**options: Any) -> Nucleus:
        nucleus = Nucleus(options.pop("root", tmp_path / f"gg{len(started)}"), **options)
        nucleus.start()
        started.append(nucleus)
        return nucleus

    yield start
    for nucleus in reversed(started):
        nucleus.stop()


@pytest.fixture
def gglocal(gglocal_factory: Callable[..., Nucleus]) -> Nucleus:
    """A running `gglocal.api.nucleus.Nucleus` with the profile lite in a temporary root folder."""
    return gglocal_factory()
