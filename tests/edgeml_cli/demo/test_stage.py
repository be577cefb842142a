"""The stage leaves the process as it found it, and knows whether there is anything to install."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from edgeml.runtime.install_venv import STAMP
from edgeml_cli.build.package import COMPONENTS
from edgeml_cli.demo.nucleus_session import NucleusSession, _clear


def _stage(place: Path) -> NucleusSession:
    return NucleusSession(place, place / "built", "1.0.0", "lite", lambda text: None)


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


def test_packages_stay_from_run_to_run_and_nothing_else_of_a_component(tmp_path: Path) -> None:
    work = tmp_path / "work" / next(iter(COMPONENTS))
    whole = work / "venv.d" / "digest"
    whole.mkdir(parents=True)
    (whole / STAMP).touch()
    (work / "venv").symlink_to(Path("venv.d") / "digest", target_is_directory=True)
    (work / "alarms.sqlite3").touch()
    (tmp_path / "logs").mkdir()
    _clear(tmp_path)
    assert (work / "venv" / STAMP).is_file()
    assert sorted(path.name for path in work.iterdir()) == ["venv", "venv.d"] and not (tmp_path / "logs").exists()
