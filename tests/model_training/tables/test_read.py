"""Plain tables: delimiters, headings, text and missing cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from model_training.tables import read
from model_training.training_request import TrainingError


def write(folder: Path, text: str, name: str = "a.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    "text", ["a,b\n1,2.5\n3,4\n", "a;b\n1;2,5\n3;4\n", "a\tb\n1\t2.5\n3\t4\n", "a b\n1   2.5\n3 4\n", "\ufeffa,b\r\n1,2.5\r\n\r\n3,4\r\n"]
)
def test_delimiter_and_decimal_sign_are_found(tmp_path: Path, text: str) -> None:
    found = read.read([write(tmp_path, text)])
    assert {name: cells.tolist() for name, cells in found.cells.items()} == {"a": [1, 3], "b": [2.5, 4]}
    assert len(found) == 2 and found.digests.keys() == {"a.csv"}


def test_missing_cells_and_text(tmp_path: Path) -> None:
    found = read.read([write(tmp_path, "a,b,c\n1,x,\nNA,,2\n")])
    assert np.isnan(found.cells["a"][1]) and np.isnan(found.cells["c"][0])
    assert found.cells["b"].tolist() == ["x", None] and found.is_text("b") and not found.is_text("a")
    assert found.places[1] == "a.csv, line 3"


def test_headings_of_the_spec_name_the_columns(tmp_path: Path) -> None:
    found = read.read([write(tmp_path, "1 2.5 \n3 4 \n", "a.txt")], ["a", "b"])
    assert found.cells["b"].tolist() == [2.5, 4] and found.places[0] == "a.txt, line 1"


def test_several_files_are_one_table(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    first = write(tmp_path, "a,b\n1,x\n")
    pq.write_table(pa.table({"b": [7, 8], "a": [2.0, None]}), tmp_path / "b.parquet")
    found = read.read([first, tmp_path / "b.parquet"])
    assert found.cells["b"].tolist() == ["x", "7", "8"] and found.cells["a"][:2].tolist() == [1, 2]
    assert found.places[2] == "b.parquet, row 2"
    assert read.files_in(tmp_path) == [first, tmp_path / "b.parquet"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "a.csv has no rows"),
        ("a,b\n", "a.csv has no rows"),
        ("1,2\n3,4\n", "has numbers in its first line and no headings; state the `headings` in the spec"),
        ("a,a\n1,2\n", "has two columns 'a'; rename one of them"),
        ("a,b\n1,2\n1,2\n3\n", "line 4 has 1 cells instead of 2; correct the line"),
    ],
)
def test_unreadable_table_fails_with_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(TrainingError) as caught:
        read.read([write(tmp_path, text)])
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_absent_files_and_columns_fail(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot be read"):
        read.read([tmp_path / "nowhere.csv"])
    with pytest.raises(TrainingError, match="no table found"):
        read.read([])
    with pytest.raises(TrainingError, match=r"b.csv has no column b, which .*a.csv has"):
        read.read([write(tmp_path, "a,b\n1,2\n"), write(tmp_path, "a,c\n1,2\n", "b.csv")])
    (tmp_path / "c.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(TrainingError, match=r"c.parquet is not a Parquet file"):
        read.read([tmp_path / "c.parquet"])
