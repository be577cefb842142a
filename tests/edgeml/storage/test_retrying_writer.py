"""Failed writes are retried, and reported until they succeed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edgeml.runtime.last_good_config import LAST_GOOD, LastGoodConfig
from edgeml.storage.retrying_writer import RetryingWriter
from inference.options import InferenceOptions


class Disk:
    """A destination that may be full."""

    def __init__(self) -> None:
        self.full, self.written, self.now = False, [], 0.0
        self.lasting = RetryingWriter(lambda: self.now, retry_s=5.0)

    def do(self, key: str, value: str) -> bool:
        def write() -> None:
            if self.full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.written.append(value)

        return self.lasting.do(key, write, f"{key} cannot be written ({{}}); make room")


def test_write_runs_at_once():
    disk = Disk()
    assert disk.do("a", "1") and disk.written == ["1"] and disk.lasting.faults == ()


def test_failed_write_is_retried_until_it_succeeds(caplog: pytest.LogCaptureFixture):
    disk = Disk()
    disk.full = True
    assert not disk.do("a", "1")
    assert not disk.do("a", "2") and not disk.do("b", "3")
    for disk.now in range(20):
        disk.lasting.tick()
    assert disk.lasting.faults[0].endswith("cannot be written (No space left on device); make room (and 1 more like this)")
    assert sum("a cannot be written" in record.getMessage() for record in caplog.records) <= 2
    disk.full = False
    for disk.now in range(20, 30):
        disk.lasting.tick()
    assert sorted(disk.written) == ["2", "3"] and disk.lasting.faults == (), "of each the latest alone"


def test_permanently_failing_write_blocks_no_other():
    disk = Disk()

    def never() -> None:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))

    disk.lasting.do("a", never, "a cannot be written ({}); rename it")
    disk.full = True
    disk.do("b", "1")
    disk.full = False
    for disk.now in range(5, 30):
        disk.lasting.tick()
    assert disk.written == ["1"] and "File name too long" in disk.lasting.faults[0]


def test_dropped_write_is_not_retried():
    disk = Disk()
    disk.full = True
    disk.do("a", "1")
    disk.do("b", "2")
    disk.lasting.drop("a")
    disk.full, disk.now = False, 10.0
    disk.lasting.tick()
    assert disk.written == ["2"]


def test_last_good_configuration_is_written_when_there_is_space_again(tmp_path: Path):
    now = [0.0]
    settings = LastGoodConfig(InferenceOptions, tmp_path, lambda: now[0])
    (tmp_path / LAST_GOOD).with_suffix(".new").mkdir()  # nothing can be written there
    settings.remember({"threads": 2})
    assert "last-good-configuration.json cannot be written" in settings.faults[0]
    with pytest.raises(FileNotFoundError):
        settings.last_good()
    (tmp_path / LAST_GOOD).with_suffix(".new").rmdir()
    now[0] = 6.0
    settings.tick()
    assert settings.faults == () and settings.last_good() == {"threads": 2}
