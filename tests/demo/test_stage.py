"""The stage leaves the process as it found it, and knows whether there is anything to install."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from edgeml.install import STAMP
from suite.build import COMPONENTS
from suite.stage import Stage


def _stage(place: Path) -> Stage:
    return Stage(place, place / "built", "1.0.0", "lite", lambda text: None)


def test_the_logger_is_put_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("gglocal")
    before = (logger.level, logger.propagate, list(logger.handlers))
    with _stage(tmp_path):
        assert not logger.propagate
        logger.info("inside")
    assert (logger.level, logger.propagate, list(logger.handlers)) == before
    logger.warning("outside")
    assert "outside" in caplog.text and "inside" not in caplog.text
    log = (tmp_path / "nucleus.log").read_text()
    assert "inside" in log and "outside" not in log


def test_a_place_is_complete_when_every_component_has_its_packages(tmp_path: Path) -> None:
    stage = _stage(tmp_path)
    for component in COMPONENTS:
        assert not stage.complete
        venv = tmp_path / "nucleus" / "work" / component / "venv"
        venv.mkdir(parents=True)
        (venv / STAMP).touch()
    assert stage.complete
