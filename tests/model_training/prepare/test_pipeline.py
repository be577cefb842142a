"""The whole preparation: from captured files, CSVs and objects in S3 to Parquet and the data card."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_training.prepare import PrepareError, load_prepared, prepare_dataset
from model_training.prepare.__main__ import main
from model_training.prepare.sources import sources

from edgeml.timestamps import SECOND

from .kit import T0, capture, csv, plan, steady, uploaded

pa = pytest.importorskip("pyarrow", reason="pyarrow is absent; install the extra prepare")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An S3 client with an empty bucket `plant`, in this process."""
    moto = pytest.importorskip("moto", reason="moto is absent; install the extra test")
    boto3 = pytest.importorskip("boto3")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with moto.mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="plant")
        yield client


def test_captured_rows_reach_training(tmp_path: Path) -> None:
    values = capture(tmp_path / "in", "pump-1", 120)
    load = {"function": "product", "of": ["flow", "current"], "unit": "x"}
    created = prepare_dataset(plan(derived={"load": load}), [str(tmp_path / "in")], tmp_path / "out")
    (steps,) = load_prepared(created.folder)
    assert steps.asset == "pump-1" and steps.channels == ("current", "flow", "load")
    assert np.array_equal(steps.times, T0 + np.arange(120) * SECOND) and not steps.flags.any() and not steps.segment.any()
    assert np.array_equal(steps.values[:, 1], values[:, 0]) and np.allclose(steps.values[:, 2], values.prod(axis=1), rtol=1e-6)
    assert (created.folder / "asset=pump-1" / "day=2020-03-09" / "part-0.parquet").is_file()
    assert created.folder == tmp_path / "out" / "rig" / created.version[:16]
    about = created.card["assets"]["pump-1"]
    assert about["channels"]["flow"]["unit"] == "l/min" and about["channels"]["load"]["unit"] == "x" and about["rows_used"] == 120
    assert created.card["rows"] == {"in": 120, "used": 120, "dropped": {}, "lost_before_capture": 0, "steps_out": 120}
    assert {len(source["sha256"]) for source in created.card["sources"]} == {64} and len(created.card["sources"]) == 3


def test_parquet_is_readable_with_pyarrow_alone(tmp_path: Path) -> None:
    import pyarrow.dataset

    capture(tmp_path / "in", "pump/1", 20, start=86_400 - 36_873 - 10)
    created = prepare_dataset(plan(), [str(tmp_path / "in")], tmp_path / "out")
    table = pyarrow.dataset.dataset(created.folder, partitioning="hive", exclude_invalid_files=True).to_table()
    assert table.num_rows == 20 and set(table["asset"].to_pylist()) == {"pump/1"}
    assert sorted(set(map(str, table["day"].to_pylist()))) == ["2020-03-09", "2020-03-10"]
    assert str(table.schema.field("time").type) == "timestamp[ns, tz=UTC]"


def test_version_depends_on_content(tmp_path: Path) -> None:
    lines = steady(40)
    csv(tmp_path / "one", "p/x.csv", lines)
    csv(tmp_path / "two", "p/1.csv", lines[:20])
    (tmp_path / "two/p/2.csv.gz").write_bytes(gzip.compress(("time,flow,current\n" + "\n".join(lines[20:]) + "\n").encode()))
    by_folder = plan(csv={"asset": "folder"})
    one = prepare_dataset(by_folder, [str(tmp_path / "one")], tmp_path / "out")
    files = {path: path.read_bytes() for path in sorted(one.folder.rglob("*")) if path.is_file()}
    again = prepare_dataset(by_folder, [str(tmp_path / "one")], tmp_path / "out")
    assert again == one and {path: path.read_bytes() for path in sorted(one.folder.rglob("*")) if path.is_file()} == files
    assert prepare_dataset(by_folder, [str(tmp_path / "two")], tmp_path / "out2").version == one.version
    csv(tmp_path / "one", "p/x.csv", [*lines[:-1], lines[-1].replace(",12", ",13")])
    assert prepare_dataset(by_folder, [str(tmp_path / "one")], tmp_path / "out").version != one.version
    assert (
        prepare_dataset(plan(csv={"asset": "folder"}, max_interpolated_gap_s=7), [str(tmp_path / "two")], tmp_path / "out").version
        != one.version
    )


def test_dropped_rows_are_counted_and_reported(tmp_path: Path) -> None:
    lines = steady(50)
    lines[3], lines[5], lines[7], lines[9] = "never,1,2", lines[4], lines[7].replace(",12", ",x"), "2020-03-09T10:14:09Z"
    lines[11] = lines[11].split(",")[0] + ",900,2"
    csv(tmp_path, "a.csv", lines[:20] + lines[30:])
    csv(tmp_path, "b.csv", [], heading="when,what")
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(b"time,flow,current\n")[:-9])
    csv(tmp_path, "d.csv", [])
    output: list[str] = []
    created = prepare_dataset(plan(ranges={"flow": {"high": 500}}), [str(tmp_path)], tmp_path / "out", log=output.append)
    rows = created.card["rows"]
    assert rows["dropped"] == {"duplicate": 1, "invalid time": 1, "wrong number of cells": 1}
    assert rows["in"] == rows["used"] + sum(rows["dropped"].values()) == 40
    assert created.card["values_removed"] == {"missing": 1, "not a number": 1, "out of range": 1} and created.card["bad_files"] == 3
    gap = created.card["assets"]["a"]["gaps"]
    assert gap["count"] == 1 and gap["first"] == [{"after": "2020-03-09T10:14:19.000Z", "until": "2020-03-09T10:14:30.000Z"}]
    for reason in ("duplicate", "invalid time", "wrong number of cells"):
        assert any(f"dropped: {reason}: 1" in line for line in output)
        assert f"| row | {reason} | 1 |" in (created.folder / "card.md").read_text()
    assert any("b.csv has no column 'time'" in line for line in output) and any(
        "c.csv.gz is not a complete gzip" in line for line in output
    )
    assert "d.csv" in (created.folder / "card.md").read_text() and "has no usable rows" in (created.folder / "card.md").read_text()
    assert json.loads((created.folder / "card.json").read_text()) == created.card


def test_asset_of_other_sampling_rate_is_dropped_and_counted(tmp_path: Path) -> None:
    csv(tmp_path, "good.csv", steady(30))
    csv(tmp_path, "slow.csv", [f"2020-03-09T{10 + i}:00:00Z,1,2" for i in range(9)])
    created = prepare_dataset(plan(), [str(tmp_path)], tmp_path / "out")
    assert list(created.card["assets"]) == ["good"] and "slow: its rows are 3600 s apart" in created.card["assets_dropped"]["slow"]
    assert created.card["rows"]["dropped"] == {"asset dropped": 9} and created.card["rows"]["in"] == 39


def test_lost_and_truncated_capture_rows_are_counted(tmp_path: Path) -> None:
    capture(tmp_path / "in", "p", 60)
    first, second = sorted((tmp_path / "in").rglob("*.csv.gz"))
    text = gzip.decompress(second.read_bytes()).replace(b'"lost_rows": 0', b'"lost_rows": 7')
    second.with_name(second.name.replace(".csv.gz", ".part")).write_bytes(text[:-4])
    second.unlink()
    created = prepare_dataset(plan(), [str(tmp_path / "in")], tmp_path / "out")
    assert created.card["rows"]["lost_before_capture"] == 7 and created.card["rows"]["dropped"] == {"truncated line": 1}
    assert created.card["rows"]["used"] == 59


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"channels": ["flow", "torque"]}, "a has no channel torque; it has current, flow"),
        ({"derived": {"x": {"function": "sum", "of": ["torque"]}}}, "no channel torque for a derived channel"),
        ({"csv": {"columns": {"time": "flow"}}}, "time is a reserved name"),
    ],
)
def test_unusable_data_fail(tmp_path: Path, options: dict[str, Any], expected: str) -> None:
    csv(tmp_path, "a.csv", steady(9))
    with pytest.raises(PrepareError, match=expected):
        prepare_dataset(plan(**options), [str(tmp_path)], tmp_path / "out")
    assert not list((tmp_path / "out").rglob("card*"))


@pytest.mark.parametrize(("created", "expected"), [("none", "does not exist"), ("empty", "has no files that end in .csv")])
def test_place_without_files_fails(tmp_path: Path, created: str, expected: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PrepareError, match=expected):
        prepare_dataset(plan(), [str(tmp_path / created)], tmp_path / "out")


def test_modified_data_set_is_not_loaded(tmp_path: Path) -> None:
    csv(tmp_path, "a.csv", steady(30))
    created = prepare_dataset(plan(), [str(tmp_path)], tmp_path / "out")
    other = prepare_dataset(plan(name="other"), [str(csv(tmp_path, "a2/a.csv", steady(30, start=20)))], tmp_path / "out")
    shutil.copy(next(other.folder.rglob("*.parquet")), next(created.folder.rglob("*.parquet")))
    with pytest.raises(PrepareError, match="does not match the version of its card"):
        load_prepared(created.folder)
    next(created.folder.rglob("*.parquet")).write_bytes(b"PAR1")
    with pytest.raises(PrepareError, match="cannot be read"):
        load_prepared(created.folder)
    next(created.folder.rglob("*.parquet")).unlink()
    with pytest.raises(PrepareError, match="is missing"):
        load_prepared(created.folder)


def test_bucket_objects_equal_folder_files(tmp_path: Path, bucket: Any) -> None:
    capture(tmp_path / "in", "p", 120)
    for path in (tmp_path / "in").rglob("*.csv.gz"):
        bucket.put_object(Bucket="plant", Key=f"raw/line-1/{path.relative_to(tmp_path / 'in')}", Body=path.read_bytes())
    bucket.put_object(Bucket="plant", Key="raw/readme.txt", Body=b"no rows")
    bucket.put_object(Bucket="plant", Key="other/x.csv", Body=b"not asked for")
    here = prepare_dataset(plan(), [str(tmp_path / "in")], tmp_path / "out")
    there = prepare_dataset(plan(), ["s3://plant/raw/line-1"], tmp_path / "out2")
    assert there.version == here.version and there.card["sources"] == here.card["sources"] and len(there.card["sources"]) == 3


def test_uploaded_rows_equal_captured_files(tmp_path: Path, bucket: Any) -> None:
    """Store the component's messages as the rule and Firehose do: with the thing name, one message a line, several objects a day."""
    lines = []
    for thing in ("t1", "t2"):
        capture(tmp_path / thing, "p", 120, start=len(thing) * 1000)
        lines += [json.dumps(json.loads(payload) | {"thing": thing}).encode() for payload in uploaded(tmp_path / thing)]
    lines += [lines[0], b"", b"[]", b'{"thing": "t1", "type": "capture", "gzip": "no"}', lines[1].replace(b'"capture"', b'"other"')]
    for number in range(3):
        body = gzip.compress(b"".join(line + b"\n" for line in lines[number::3]))
        bucket.put_object(Bucket="plant", Key=f"captures/2020/03/09/edgeml-captures-1-2020-03-09-12-{number:02}-00-0f8fad5b.gz", Body=body)
    created = prepare_dataset(plan(), ["s3://plant/captures/"], tmp_path / "out")
    (files,) = load_prepared(prepare_dataset(plan(), [str(tmp_path / "t1")], tmp_path / "out").folder)
    first, second = load_prepared(created.folder)
    assert (first.asset, second.asset) == ("t1/p", "t2/p") and len(second.times) == 120
    assert np.array_equal(first.times, files.times) and np.array_equal(first.values, files.values)
    assert created.card["assets"]["t1/p"]["channels"]["flow"]["unit"] == "l/min"
    assert created.card["rows"]["dropped"] == {"not captured rows": 4, "duplicate": 50} and created.card["bad_files"] == 0


def test_bucket_listing_is_paginated(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_training.prepare.sources.PAGE", 2)
    for number in range(5):
        bucket.put_object(Bucket="plant", Key=f"raw/{number}.csv", Body=b"x")
    assert [source.name for source in sources(["s3://plant/raw/"])] == [f"{number}.csv" for number in range(5)]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("s3://nowhere/raw", r"s3://nowhere/raw cannot be read \(.*NoSuchBucket.*credentials"),
        ("s3://plant/raw", "has no files that end in"),
    ],
)
def test_missing_or_empty_bucket_fails(tmp_path: Path, bucket: Any, place: str, expected: str) -> None:
    with pytest.raises(PrepareError, match=expected):
        prepare_dataset(plan(), [place], tmp_path / "out")


def test_command_prepares_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv(tmp_path / "in", "a.csv", steady(30))
    (tmp_path / "plan.yaml").write_text("name: rig\nderived: {power: {function: product, of: [flow, current]}}\n")
    assert main(["prepare", str(tmp_path / "in"), "--plan", str(tmp_path / "plan.yaml"), "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert load_prepared(Path(captured.out.strip()))[0].channels == ("current", "flow", "power") and "30 rows in, 30 used" in captured.err
    (tmp_path / "plan.yaml").write_text("name: rig\ninterval_s: 0\nchanels: [flow]\n")
    assert main(["prepare", str(tmp_path / "in"), "--plan", str(tmp_path / "plan.yaml")]) == 1
    output = capsys.readouterr().err.splitlines()
    assert len(output) == 2 and "did you mean `channels`?" in "".join(output) and "interval_s" in "".join(output)
    for wrong in ("absent.yaml", "in/a.csv"):
        assert main(["prepare", str(tmp_path / "in"), "--plan", str(tmp_path / wrong)]) == 1
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(["list"]) == 0 and "skab: Skoltech" in capsys.readouterr().out
    assert main(["fetch", "iris"]) == 1 and "ai4i, cmapss, skab" in capsys.readouterr().err


def test_fetch_from_folder_reports_partial_data(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "cmapss", "--from", str(shared / "data"), "--out", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert "cmapss: partial" in captured.err and "6339 of 13096 rows" in captured.err
    assert (tmp_path / "cmapss" / "train_FD001.txt").is_file()
