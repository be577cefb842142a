"""Only regular files are opened if a configuration or another process names the path: a special file would block a component."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeml.auth import device_key
from edgeml.errors import AuthenticationError, BundleError, SourceError
from edgeml.model import install_bundle, signature
from edgeml.model.bundle import read_file
from edgeml.runtime.last_good_config import LAST_GOOD, LastGoodConfig
from edgeml.storage import regular_files
from edgeml.storage.regular_files import open_plain, plain_bytes
from inference.recent_rows import RecentRows
from sensor_ingestion.checkpoint import Checkpoint
from sensor_ingestion.options import SensorIngestionOptions
from sensor_ingestion.sources.base import Clocks
from sensor_ingestion.sources.csv_replay import CsvReplay, CsvReplayOptions


def fifo(path: Path) -> Path:
    os.mkfifo(path, 0o600)
    return path


def device(path: Path) -> Path:
    path.symlink_to("/dev/zero")
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.fixture(params=[fifo, device, folder])
def spoil(request: pytest.FixtureRequest) -> Iterator[Callable[[Path], Path]]:
    yield request.param


@pytest.mark.timeout(20)
def test_special_file_is_refused_at_once(tmp_path: Path, spoil: Callable[[Path], Path]) -> None:
    path = spoil(tmp_path / "x")
    for read in (open_plain, plain_bytes):
        with pytest.raises(OSError) as caught:
            read(path)
        assert caught.value.errno in (errno.EINVAL, errno.EISDIR) and caught.value.strerror


def test_regular_file_is_read_directly_and_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "b").symlink_to("a")
    assert plain_bytes(tmp_path / "a") == plain_bytes(tmp_path / "b") == b"content"
    with open_plain(tmp_path / "b") as file:
        assert stat.S_ISREG(os.fstat(file.fileno()).st_mode) and not os.get_inheritable(file.fileno())
    with pytest.raises(OSError) as caught:
        plain_bytes(tmp_path / "b", follow=False)
    assert caught.value.errno == errno.ELOOP


def test_file_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert plain_bytes(path, 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        plain_bytes(path, 4)
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a sparse file: it has the size without the bytes
    with pytest.raises(OSError, match="more than 4096 bytes"):
        plain_bytes(path, 4096)


@pytest.mark.parametrize("name", ["a\0b", "none"])
def test_impossible_or_missing_name_raises_os_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError):
        plain_bytes(tmp_path / name)


def test_refused_file_leaves_no_descriptor_open(tmp_path: Path) -> None:
    fifo(tmp_path / "x")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        with pytest.raises(OSError):
            open_plain(tmp_path / "x")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.timeout(60)
def test_no_reader_blocks_on_a_special_file(tmp_path: Path, spoil: Callable[[Path], Path]) -> None:
    path = spoil(tmp_path / "x")
    clocks = Clocks(lambda: 0.0, lambda: 0)
    with pytest.raises(SourceError, match="is not a regular file|Is a directory"):
        CsvReplay(CsvReplayOptions(path=str(path), layout="skab"), clocks)
    for refused, read in ((AuthenticationError, device_key.read), (BundleError, read_file), (BundleError, signature._read)):
        with pytest.raises(refused):
            read(path)
    (tmp_path / "work").mkdir()
    for name in (install_bundle.POINTER, install_bundle.RESULT, LAST_GOOD):
        spoil(tmp_path / "work" / name)
    assert install_bundle.installed(tmp_path / "work") is None and install_bundle.read_result(tmp_path / "work", (1, 2)) is None
    with pytest.raises(OSError):
        LastGoodConfig(SensorIngestionOptions, tmp_path / "work").last_good()
    checkpoint = Checkpoint(tmp_path, "a", {})
    spoil(checkpoint.path)
    assert checkpoint.load() is None
    spoil(tmp_path / "a.newer")
    assert RecentRows(tmp_path, "a", 10).load().rows == 0


def test_install_step_has_the_common_size_limit() -> None:
    assert install_bundle.MAX_BYTES == regular_files.MAX_BYTES
