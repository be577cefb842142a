"""Pytest fixtures for component tests on a local nucleus: `gglocal`, ready to deploy to, and `gglocal_factory`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gglocal.api.nucleus import Nucleus


@pytest.fixture
def gglocal_factory(tmp_path: Path) -> Iterator[Callable[..., Nucleus]]:
    """Start a nucleus in a temporary root: `gglocal_factory(profile="classic", error_reset=1)`; all end with the test.

    Takes the arguments of `gglocal.api.nucleus.Nucleus`; `root` is by default a new folder.
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
    """A running `gglocal.api.nucleus.Nucleus` of the profile lite in a temporary root."""
    return gglocal_factory()
