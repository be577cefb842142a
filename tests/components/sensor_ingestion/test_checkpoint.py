"""The files that an asset's rows and state outlive a restart in: torn, damaged, full, and long."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sensor_ingestion.checkpoint import SEGMENT_BYTES, Checkpoint, SentBatch


def sent(number: int, size: int = 300) -> SentBatch:
    return SentBatch(number, number * 1000, bytes([number % 256]) * size)


def filled(work: Path, numbers: range, size: int = 300) -> Checkpoint:
    checkpoint = Checkpoint(work, "a", "c")
    checkpoint.load()
    for number in numbers:
        checkpoint.save({"next": number + 1}, [sent(number, size)])
    return checkpoint


def loaded(work: Path) -> tuple[int, list[int]]:
    """(the saved state's number, the numbers of the batches)."""
    remembered = Checkpoint(work, "a", "c").load()
    assert remembered is not None
    assert all(each == sent(each.seq, len(each.payload)) for each in remembered.batches)
    return remembered.state["next"], [each.seq for each in remembered.batches]


def segments(work: Path) -> list[Path]:
    return sorted(work.glob("asset-*/*.log"))


@pytest.mark.parametrize("cut", range(1, 320, 20))
def test_torn_end_is_skipped_and_later_records_are_read(tmp_path: Path, cut: int) -> None:
    filled(tmp_path, range(5))
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    assert loaded(tmp_path) == (4, [0, 1, 2, 3])
    filled(tmp_path, range(4, 8))
    assert loaded(tmp_path) == (8, list(range(8)))


def test_a_damaged_segment_costs_no_other(tmp_path: Path) -> None:
    for start in (0, 3, 6):
        filled(tmp_path, range(start, start + 3))
    one, two, three = segments(tmp_path)
    data = bytearray(two.read_bytes())
    data[len(data) // 2] ^= 1  # in its second batch
    two.write_bytes(data)
    assert loaded(tmp_path) == (9, [0, 1, 2, 3, 6, 7, 8])
    one.unlink()
    one.mkdir()
    three.write_bytes(b"")
    assert loaded(tmp_path) == (4, [3])


def test_segments_are_deleted_when_no_replay_needs_them(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "a", "c")
    for number in range(4000):
        checkpoint.save({"next": number + 1}, [sent(number)], max(0, number - 900))
        assert number % 500 or loaded(tmp_path)[1][-901:] == list(range(max(0, number - 900), number + 1))
    assert sum(path.stat().st_size for path in segments(tmp_path)) < 901 * 350 + 2 * SEGMENT_BYTES


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file of this process can become longer than `size` bytes: the kernel writes a part and refuses the rest."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_unwritten_records_are_written_when_there_is_space(tmp_path: Path) -> None:
    checkpoint = filled(tmp_path, range(3))
    (path,) = segments(tmp_path)
    with room(path.stat().st_size + 100):
        for number in (3, 4, 5):
            with pytest.raises(OSError, match="File too large|No space"):
                checkpoint.save({"next": number + 1}, [sent(number)])
    assert loaded(tmp_path) == (3, [0, 1, 2])  # killed now: not half a record, and no file more
    assert segments(tmp_path) == [path]
    checkpoint.save({"next": 7}, [sent(6)])
    assert loaded(tmp_path) == (7, list(range(7)))


def test_first_record_is_retried_without_space(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "a", "c")
    with room(10):
        for number in (0, 1):
            with pytest.raises(OSError):
                checkpoint.save({"next": number + 1}, [sent(number)])
    checkpoint.save({"next": 3}, [sent(2)])
    assert loaded(tmp_path) == (3, [0, 1, 2]) and len(segments(tmp_path)) == 1


def test_another_configuration_deletes_the_checkpoint(tmp_path: Path) -> None:
    filled(tmp_path, range(3))
    assert Checkpoint(tmp_path, "a", "other").load() is None
    assert segments(tmp_path) == []


def test_restarts_leave_few_files(tmp_path: Path) -> None:
    for number in range(50):
        checkpoint = Checkpoint(tmp_path, "a", "c")
        checkpoint.load()
        checkpoint.save({"next": number + 1}, [sent(number)], oldest=max(0, number - 4))
    assert len(segments(tmp_path)) <= 6 and loaded(tmp_path)[1][-5:] == [45, 46, 47, 48, 49]
