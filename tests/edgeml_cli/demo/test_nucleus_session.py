"""The session restores logging, keeps installed packages, and detects whether packages are missing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from edgeml.runtime.install_venv import STAMP
from edgeml_cli.build.package import COMPONENTS
from edgeml_cli.demo.nucleus_session import NucleusSession, _remove_previous_run


def _session(place: Path) -> NucleusSession:
    return NucleusSession(place, place / "built", "1.0.0", "lite", lambda text: None)


def test_session_restores_logging(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("gglocal")
    before = (logger.level, logger.propagate, list(logger.handlers))
    with _session(tmp_path):
        assert not logger.propagate
        logger.info("inside")
    assert (logger.level, logger.propagate, list(logger.handlers)) == before
    logger.warning("outside")
    assert "outside" in caplog.text and "inside" not in caplog.text
    log = (tmp_path / "nucleus.log").read_text()
    assert "inside" in log and "outside" not in log


def test_session_is_installed_when_every_component_has_its_packages(tmp_path: Path) -> None:
    session = _session(tmp_path)
    for component in COMPONENTS:
        assert not session.is_installed
        venv = tmp_path / "nucleus" / "work" / component / "venv"
        venv.mkdir(parents=True)
        (venv / STAMP).touch()
    assert session.is_installed


def test_only_packages_are_kept_between_runs(tmp_path: Path) -> None:
    work = tmp_path / "work" / next(iter(COMPONENTS))
    whole = work / "venv.d" / "digest"
    whole.mkdir(parents=True)
    (whole / STAMP).touch()
    (work / "venv").symlink_to(Path("venv.d") / "digest", target_is_directory=True)
    (work / "alarms.sqlite3").touch()
    (tmp_path / "logs").mkdir()
    _remove_previous_run(tmp_path)
    assert (work / "venv" / STAMP).is_file()
    assert sorted(path.name for path in work.iterdir()) == ["venv", "venv.d"] and not (tmp_path / "logs").exists()
