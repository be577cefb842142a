"""Bad input: one sentence each, with the file, the problem and the remedy."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from model_training.history import HistoryError, Spec, read

from tests.model_training.history.kit import iso, table


def raw(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda p: table(p, form=lambda moment: "x"), "has no time column: no column holds ISO 8601 times"),
        (
            lambda p: table(p, headings=("time", "a", "b", "sent"), more=lambda row: (f"2026-03-02 08:00:{row % 60:02d}",)),
            "has 2 columns with times, 'time', 'sent'; state which one holds the event time in the spec, such as `time: {column: time}`",
        ),
        (lambda p: table(p, 5), "has 5 rows with a time; at least 20 are needed; add rows"),
        (lambda p: table(p, headings=("2026-01-01 00:00:00", "1.5", "2")), "line 1, has no headings but numbers or times"),
        (lambda p: table(p, headings=("time", "a", "a")), "has two columns 'a'; rename one of them"),
        (
            lambda p: table(p, headings=("time", "a", "b", "c"), more=lambda row: () if row else (1,)),
            "do not have the 4 cells of the headings",
        ),
        (lambda p: raw(p, b""), "is empty; remove the file or copy it again"),
        (lambda p: raw(p, b"time,a,b\n"), "has no rows under its headings"),
        (lambda p: raw(p, "time;a\n".encode("utf-16")), "too long or in UTF-16; save the table as CSV in UTF-8"),
        (lambda p: raw(p, gzip.compress(b"time,a\n" * 99)[:30]), "is not a complete gzip file"),
        (lambda p: raw(p, b"PK\x03\x04..."), "is a spreadsheet or an archive; save the sheet as CSV"),
        (lambda p: raw(p, b"PAR1 and nothing else"), "cannot be read"),
        (lambda p: raw(p, b'# {"format": "edgeml-capture"\n'), "has an invalid header"),
        (lambda p: p, "cannot be read (No such file or directory); name a file or folder that exists"),
    ],
)
def test_bad_table_is_refused_with_one_sentence(tmp_path: Path, make: Callable[[Path], Path], sentence: str) -> None:
    path = make(tmp_path / "a.csv")
    with pytest.raises(HistoryError) as caught:
        read([path], Spec())
    assert str(caught.value).startswith(str(path)) and sentence in str(caught.value) and "\n" not in str(caught.value)


def test_damaged_tables_never_fail_otherwise(tmp_path: Path) -> None:
    """Random damage: the table is read, or refused with one line."""
    whole = table(tmp_path / "a.csv", 40, headings=("time", "flow (l/min)", "p", "fault"), more=lambda row: (int(row > 30),)).read_bytes()
    parts = [
        b",",
        b";",
        b"\n",
        b'"',
        b"nan",
        b"inf",
        b"1e400",
        b"2026-13-45 99:99",
        b"\xff",
        b"\x00",
        b"1772438400",
        b"01/02/2026",
        b"Z",
        b"1,5",
    ]
    choose = random.Random(0)
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(choose.choice((1, 2, 5))):
            at = choose.randrange(len(damaged))
            damaged[at : at + choose.choice((0, 0, 1, 30))] = choose.choice(parts)
        try:
            history = read([raw(tmp_path / "b.csv", bytes(damaged))], Spec())
        except HistoryError as fault:
            assert "\n" not in str(fault)
        else:
            assert all((np.diff(each.times) > 0).all() and not np.isinf(each.values).any() for each in history.recordings)


def test_a_history_of_constants_has_no_channel(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("time,a,b\n" + "".join(f"2026-03-02 08:{row:02d}:00,5,7\n" for row in range(60)))
    with pytest.raises(
        HistoryError, match=r"has no channel to monitor: column 'a' is constant \(5\) and is left out; column 'b' is constant"
    ):
        read([file], Spec())


def test_files_of_different_columns_are_refused(tmp_path: Path) -> None:
    one, other = table(tmp_path / "a.csv"), table(tmp_path / "b.csv", headings=("time", "flow", "pow"))
    with pytest.raises(HistoryError, match=r"b.csv has other columns than .*a.csv: no 'power'; also 'pow'; read them separately, or state"):
        read([one, other], Spec())


def test_files_of_different_intervals_are_refused(tmp_path: Path) -> None:
    files = [table(tmp_path / f"{n}.csv", step_s=10 if n == 2 else 60) for n in range(4)]
    with pytest.raises(HistoryError, match=r"2.csv has rows every 10 s, most others every 60 s; resample the file, or leave it out"):
        read(files, Spec())
    with pytest.raises(HistoryError, match="has rows every 60 s, the spec every 10 s"):
        read(files[:1], Spec(interval_s=10))


def test_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"has no files that end in .csv, .tsv"):
        read([tmp_path], Spec())


def test_uneven_steps_are_noted(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", form=lambda moment: iso(moment.replace(second=45 if moment.minute % 4 == 0 else 0)))
    assert any(note.endswith("of the steps differ from the interval by more than half of it") for note in read([file], Spec()).notes)
