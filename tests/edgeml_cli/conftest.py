"""Commands run in the process of the tests; their changes to it are undone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from edgeml_cli import environments


@pytest.fixture(autouse=True)
def process_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    monkeypatch.delenv("EDGEML_QUIET", raising=False)
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def this_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verbs run in the process of the tests, even if `scripts/env` would update the environment."""
    monkeypatch.setattr(environments, "suits", lambda extras: True)
