"""Layouts of tables and sources: CSV, Parquet, captured rows, prepared folders, folders of files."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from model_training.history import HistoryError, Spec, read
from model_training.prepare import prepare_dataset

from tests.model_training.history.kit import START_NS, iso, measured, moments, table
from tests.model_training.prepare import kit as prepare_kit


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    history = read([table(tmp_path / "a.csv", delimiter=delimiter)], Spec())
    np.testing.assert_allclose(history.recordings[0].values, measured(100), rtol=1e-6)


def test_decimal_comma_byte_order_mark_and_gzip(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", delimiter=";")
    file.write_text("\ufeffsep=;\n# a comment\n\n" + file.read_text().replace(".", ","), encoding="utf-8")
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    for each in (file, packed):
        history = read([each], Spec())
        np.testing.assert_allclose(history.recordings[0].values, measured(100), rtol=1e-6)


def test_quoted_cells_and_latin_headings(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", headings=('"time"', '"Temp, inside (°C)"', "b"), form=lambda moment: f'"{iso(moment)}"')
    file.write_bytes(file.read_text().encode("latin-1"))
    assert [(each.name, each.unit) for each in read([file], Spec()).channels] == [("Temp, inside", "°C"), ("b", "")]


def test_delimiter_and_decimal_of_the_spec_win(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("time;a\n" + "".join(f"{iso(moment)};{row},{row % 9}\n" for row, moment in enumerate(moments(30))))
    assert read([file], Spec(delimiter=";", decimal=",")).recordings[0].values[25, 0] == pytest.approx(25.7)


def test_parquet_with_times_text_and_nulls(tmp_path: Path) -> None:
    values = measured(100)
    columns = {
        "ts": pyarrow.array([moment.replace(tzinfo=None) for moment in moments(100)]),
        "a": values[:, 0],
        "n": pyarrow.array([1, 2, None, 4] * 25),
        "site": ["x"] * 100,
        "fault": [row >= 90 for row in range(100)],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    history = read([tmp_path / "a.parquet"], Spec())
    assert history.names == ("a", "n") and history.recordings[0].times[0] == START_NS
    assert np.isnan(history.recordings[0].values[2, 1]) and history.recordings[0].labels.sum() == 10
    zoned = pyarrow.table({"ts": pyarrow.array(moments(100), pyarrow.timestamp("us", "UTC")), "a": values[:, 0]})
    pyarrow.parquet.write_table(zoned, tmp_path / "b.parquet")
    assert "time column 'ts', ISO 8601 with a zone" in read([tmp_path / "b.parquet"], Spec()).notes
    epochs = pyarrow.table({"ts": [int(moment.timestamp() * 1000) for moment in moments(100)], "a": values[:, 0]})
    pyarrow.parquet.write_table(epochs, tmp_path / "c.parquet")
    assert read([tmp_path / "c.parquet"], Spec()).recordings[0].times[0] == START_NS


def test_captured_files_of_an_asset_continue_one_another(tmp_path: Path) -> None:
    values = prepare_kit.capture(tmp_path / "captured", "pump-1", 120)
    history = read([tmp_path / "captured"], Spec())
    (recording,) = history.recordings
    assert recording.name == f"{tmp_path / 'captured'}#pump-1" and len(history.files) == 3
    np.testing.assert_allclose(recording.values, values)
    assert [(each.name, each.unit) for each in history.channels] == [("flow", "l/min"), ("current", "A")]
    assert recording.file.tolist() == [0] * 50 + [1] * 50 + [2] * 20 and recording.row[50] == 0


def test_uploaded_chunks_are_read(tmp_path: Path) -> None:
    values = prepare_kit.capture(tmp_path / "captured", "pump-1", 120)
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "a.part").write_bytes(b"\n".join(prepare_kit.uploaded(tmp_path / "captured")))
    (recording,) = read([tmp_path / "bucket"], Spec()).recordings
    np.testing.assert_allclose(recording.values, values)
    assert recording.name.endswith("#t/pump-1")


def test_prepared_folder_is_read(tmp_path: Path) -> None:
    values = prepare_kit.capture(tmp_path / "captured", "pump-1", 120)
    folder = prepare_dataset(prepare_kit.plan(), [str(tmp_path / "captured")], tmp_path / "data", log=lambda line: None).folder
    history = read([folder], Spec())
    assert history.names == ("current", "flow") and {each.unit for each in history.channels} == {"A", "l/min"}
    np.testing.assert_allclose(history.recordings[0].values, values[:, ::-1])
    assert len(read([tmp_path / "data"], Spec()).recordings) == 1


def test_rows_of_several_prepared_assets_are_told_apart(tmp_path: Path) -> None:
    for asset in ("a", "b"):
        prepare_kit.capture(tmp_path / "captured", asset, 60)
    folder = prepare_dataset(prepare_kit.plan(), [str(tmp_path / "captured")], tmp_path / "data", log=lambda line: None).folder
    history = read([folder], Spec())
    assert [each.name for each in history.recordings] == [each.file for each in history.files] == [f"{folder}#a", f"{folder}#b"]


def test_each_file_of_a_folder_is_a_recording(tmp_path: Path) -> None:
    for name in ("2.csv", "10.csv", "1.csv"):
        table(tmp_path / "data" / name)
    (tmp_path / "data" / "notes.md").write_text("no table")
    assert [Path(each.name).name for each in read([tmp_path / "data"], Spec()).recordings] == ["1.csv", "2.csv", "10.csv"]


def test_each_asset_of_a_file_is_a_recording(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", headings=("time", "flow", "power", "machine"), more=lambda row: ("AB"[row % 2],))
    history = read([file], Spec(asset_column="machine"))
    assert [each.name for each in history.recordings] == [f"{file}#A", f"{file}#B"] and history.interval_s == 120
    assert history.recordings[1].row[:2].tolist() == [1, 3]
    with pytest.raises(HistoryError, match="has no column 'machin'; correct `asset_column`"):
        read([file], Spec(asset_column="machin"))


def test_many_rows_are_read_in_seconds(tmp_path: Path) -> None:
    """100,000 rows of 16 channels; the bound is ten times the time on a machine with two cores."""
    rows, rng = 100_000, np.random.default_rng(0)
    stamps = np.datetime_as_string(np.datetime64("2026-01-01T00:00:00", "s") + np.arange(rows) * 10).tolist()
    block = [",".join(map(str, line)) for line in np.round(rng.normal(20, 3, (1_000, 16)), 3).tolist()]
    file = tmp_path / "a.csv"
    file.write_text(
        "time," + ",".join(f"c{n}" for n in range(16)) + "\n" + "\n".join(f"{t},{block[n % 997]}" for n, t in enumerate(stamps))
    )
    begun = time.process_time()
    assert read([file], Spec()).recordings[0].values.shape == (rows, 16)
    assert time.process_time() - begun < 12
