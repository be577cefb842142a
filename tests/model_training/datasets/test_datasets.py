"""Loaders: complete, partial and altered files; errors with file and line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from model_training.datasets import DATASETS, DatasetError, load_ai4i, load_cmapss, load_skab
from model_training.datasets.skab import COLUMNS, read_recording

HEADER = ";".join(("datetime", *COLUMNS, "anomaly", "changepoint"))


def row(second: int, **changed: str) -> str:
    return f"2020-03-09 10:14:{second:02d};1;2;3;4;5;6;7;8;{changed.get('anomaly', '0.0')};{changed.get('changepoint', '0.0')}"


def created(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


@pytest.fixture
def data(shared: Path) -> Path:
    return shared / "data"


def test_dataset_table_is_consistent() -> None:
    assert len(DATASETS["skab"].files) == 35
    for dataset in DATASETS.values():
        assert dataset.licence and dataset.citation and len({file.name for file in dataset.files}) == len(dataset.files)
        for file in dataset.files:
            digests = [file.sha256, *(part[1] for part in file.parts)]
            assert all(len(digest) == 64 and int(digest, 16) for digest in digests if digest)
            assert not file.sha256 or file.rows


def test_skab_subset_is_partial_with_complete_recordings(data: Path) -> None:
    skab = load_skab(data)
    states = {file.name: file.state for file in skab.provenance.files}
    assert list(states.values()).count("complete") == 24 and states["anomaly-free/anomaly-free.csv"] == "partial"
    assert skab.partial and len(skab.provenance.missing) == 10 and skab.digests.keys() == states.keys()
    assert "partial" in skab.notes[0] and any("4700 of more than 4700 rows" in note for note in skab.notes)
    valve = next(recording for recording in skab.recordings if recording.name == "valve1/0.csv")
    assert valve.values.shape == (1147, 8) and valve.values.dtype == np.float32 and valve.times[0] == 1583748873 * 10**9
    assert valve.anomaly is not None and 390 < valve.anomaly.sum() < 410
    assert valve.changepoint is not None and 0 < valve.changepoint.sum() < 10
    free = next(recording for recording in skab.recordings if recording.name.startswith("anomaly-free"))
    assert free.anomaly is None and free.changepoint is None and len(free.times) == 4700


def test_altered_recording_is_refused_or_noted(data: Path, tmp_path: Path) -> None:
    (tmp_path / "valve1").mkdir()
    text = (data / "skab" / "valve1" / "0.csv").read_text()
    created(tmp_path, "valve1/0.csv", text.replace("32.0", "33.0", 1))
    with pytest.raises(DatasetError, match=r"valve1/0.csv is altered: its SHA-256 is .*16af3f71.*edgeml data fetch skab"):
        load_skab(tmp_path)
    lines = load_skab(tmp_path, altered="warn")
    assert lines.partial and any("16af3f71" in note for note in lines.notes) and len(lines.recordings) == 1


def test_truncated_recording_is_partial(data: Path, tmp_path: Path) -> None:
    whole = (data / "skab" / "valve1" / "0.csv").read_bytes()
    path = created(tmp_path, "skab/valve1/0.csv", "")
    path.write_bytes(whole[:50_000])
    skab = load_skab(tmp_path)
    (file,) = skab.provenance.files
    assert file.state == "partial" and f"{file.rows} of 1147 rows" in file.note and file.sha256[:16] in file.note
    assert len(skab.recordings[0].times) == file.rows < 600


def test_foreign_recording_loads_with_note(tmp_path: Path) -> None:
    created(tmp_path, "pump9/1.csv", "\n".join([HEADER, row(1), row(2, anomaly="1.0", changepoint="1.0")]))
    skab = load_skab(tmp_path)
    (recording,) = skab.recordings
    assert recording.anomaly is not None and recording.anomaly.tolist() == [False, True] and len(recording.times) == 2
    assert skab.partial and "not a file of the data set" in skab.notes[-1]


def test_file_without_known_digest_is_unverified(tmp_path: Path) -> None:
    created(tmp_path, "valve1/3.csv", "\n".join([HEADER, row(1)]) + "\n")
    (file,) = load_skab(tmp_path).provenance.files
    assert file.state == "unverified" and "unknown" in file.note


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "has no rows"),
        (HEADER + "\n", "has no rows"),
        (HEADER.replace("Current;", "") + "\n" + row(1), "no column Current; it has datetime"),
        ("\n".join([HEADER, row(1), row(2).replace(";3;", ";off;")]), "line 3: .*off"),
        ("\n".join([HEADER, row(1)[:40]]), "line 2"),
        ("\n".join([HEADER, row(1).replace("2020-03-09 10", "yesterday")]), "line 2: .*yesterday"),
    ],
)
def test_invalid_recording_fails_with_place(text: str, expected: str) -> None:
    with pytest.raises(DatasetError, match=f"pump9/1.csv.*{expected}"):
        read_recording("pump9/1.csv", text.encode())


@pytest.mark.parametrize("load", [load_skab, load_cmapss, load_ai4i])
def test_missing_data_name_fetch_command(load: Callable[[Path], object], tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DatasetError, match="edgeml data fetch"):
            load(folder)


def test_cmapss_engines_have_remaining_life(data: Path) -> None:
    cmapss = load_cmapss(data)
    assert len(np.unique(cmapss.train.engine)) == 100 and len(np.unique(cmapss.test.engine)) == len(cmapss.test_life) == 50
    assert cmapss.train.sensors.shape == (20631, 21) and cmapss.train.settings.shape == (20631, 3)
    first = cmapss.train.engine == 1
    assert cmapss.train.life[first][0] == 191 and cmapss.train.life[first][-1] == 0
    assert cmapss.test_life[0] == 112 and cmapss.test.life[cmapss.test.engine == 1].tolist() == list(range(142, 111, -1))
    states = {file.name: file.state for file in cmapss.provenance.files}
    assert states == {"train_FD001.txt": "complete", "test_FD001.txt": "partial", "RUL_FD001.txt": "partial"}
    assert cmapss.partial and "50 of 100" in cmapss.notes[1]


def test_cmapss_excludes_truncated_engine(data: Path, tmp_path: Path) -> None:
    for name in ("train_FD001.txt", "RUL_FD001.txt"):
        shutil.copy(data / "cmapss" / name, tmp_path / name)
    for name, keep in (("test_FD001.txt", 20_050), ("train_FD001.txt", 200_010)):
        (tmp_path / name).write_bytes((data / "cmapss" / name).read_bytes()[:keep])
    cmapss = load_cmapss(tmp_path)
    assert cmapss.test.engine.max() == len(cmapss.test_life) == 2
    assert (cmapss.test.life[cmapss.test.engine == 2][-1], cmapss.train.life[-1]) == (98, 0)
    assert cmapss.train.engine.max() == 5


def test_cmapss_refuses_altered_and_missing_files(data: Path, tmp_path: Path) -> None:
    for name in ("train_FD001.txt", "test_FD001.txt"):
        shutil.copy(data / "cmapss" / name, tmp_path / name)
    with pytest.raises(DatasetError, match="lacks RUL_FD001.txt"):
        load_cmapss(tmp_path)
    path = tmp_path / "train_FD001.txt"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"641.82", b"641.83", 1))
    with pytest.raises(DatasetError, match=r"train_FD001.txt is altered"):
        load_cmapss(tmp_path)


def test_ai4i_failures_have_kinds(data: Path) -> None:
    ai4i = load_ai4i(data)
    assert ai4i.features.shape == (10_000, 5) and ai4i.failure.sum() == 339 and ((ai4i.kind > 0) == ai4i.failure).all()
    assert ai4i.derived and ai4i.partial and any("derived by" in note for note in ai4i.notes)
    assert (ai4i.kind == len(DATASETS["ai4i"].files[0].columns) + 1).sum() < 12  # hardly any that the rules do not explain


def test_ai4i_reads_kinds_from_columns(tmp_path: Path) -> None:
    header = "\ufeffUDI,Product ID,Type,Air temperature [K],Process temperature [K],Rotational speed [rpm],Torque [Nm],"
    header += "Tool wear [min],Machine failure,TWF,HDF,PWF,OSF,RNF\n"
    created(tmp_path, "ai4i2020.csv", header + "1,L1,L,298,308,1500,40,0,0,0,0,0,0,1\n2,L2,L,298,308,1500,40,0,1,1,0,0,0,0\n")
    ai4i = load_ai4i(tmp_path)
    assert ai4i.kind.tolist() == [0, 4] and not ai4i.derived
    created(tmp_path, "ai4i2020.csv", header + "1,L1,X,298,308,1500,40,0,0,0,0,0,0,1\n")
    with pytest.raises(DatasetError, match="line 2: the type 'X'"):
        load_ai4i(tmp_path)
