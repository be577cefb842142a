"""Readers of training and preparation: plans, recordings, data sets, archives, reported results."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import msgspec
from model_training.datasets import ai4i, cmapss, fetch, provenance, skab
from model_training.datasets.provenance import DatasetError
from model_training.evaluation.recordings import load
from model_training.prepare import sources
from model_training.prepare.parquet import load_prepared
from model_training.prepare.parse import parse
from model_training.prepare.plan import Csv, load_plan
from model_training.prepare.rows import PrepareError, Statistics
from model_training.reported_results import read, summary
from model_training.sagemaker.artifact import unpack
from model_training.tables import checks
from model_training.tables import read as tables
from model_training.tables import spec as specs
from model_training.tables.formula import Formula, FormulaError
from model_training.tables.table import build
from model_training.training_container import Container
from model_training.training_request import TrainingError

from edgeml.errors import OptionsError, SourceError
from sensor_ingestion.capture.chunks import Segment
from tests.fuzz.component_targets import ISO_TIMES, recording_text, segments
from tests.fuzz.target import Target, in_file, scratch

PLAN = b"""name: rig
interval_s: 1
max_interpolated_gap_s: 5
channels: [flow, current]
ranges: {flow: {low: 0, high: 300, unit: l/min}}
derived: {power: {function: ratio, of: [flow, current], parameter: 2, unit: W}}
csv: {delimiter: ";", decimal: ",", time_column: t, time_unit: ms, columns: {flow: F, current: C}, asset: folder}
"""
SKAB = (
    "datetime;"
    + ";".join(skab.COLUMNS)
    + ";anomaly;changepoint\n"
    + "".join(f"2020-03-09 10:14:{row:02d};" + ";".join(f"{row + place / 8}" for place in range(8)) + ";0.0;0.0\n" for row in range(33, 59))
).encode()
LONG = (
    "datetime;"
    + ";".join(skab.COLUMNS)
    + ";anomaly;changepoint\n"
    + "".join(f"2020-03-09 10:{row // 60:02d}:{row % 60:02d};" + "1.5;" * 8 + "0;0\n" for row in range(410))
).encode()
TURBINES = b"".join(b"%d %d " % (1 + row // 5, 1 + row % 5) + b"0.5 " * 24 + b"\n" for row in range(10))
MILLING = (
    "UDI,Product ID,Type,"
    + ",".join(ai4i.FEATURES)
    + f",{ai4i.FAILURE},"
    + ",".join(ai4i.KINDS)
    + "\n"
    + "".join(f"{row},M{row},M,298.1,308.6,1551,42.8,{row},{row % 2},0,{row % 2},0,0,0\n" for row in range(6))
).encode()
RESULT = {"at": "2020-03-09T10:14:33.000Z", "verdict": "anomalous", "confidence": 0.97, "alarm": "active", "latency_us": [1.5, 20]}
REPORT = {"type": "report", "thing": "t", "asset": "a", "model": "m", "model_version": "1", "digest": "d", "results": [RESULT]}


def parsed(data: bytes) -> None:
    parse("a/b.csv", data, Csv(), Statistics())


def piece() -> bytes:
    """A line of an object in the data bucket."""
    payload, _ = Segment.read(segments()[0]).chunk("t", "s", 0)
    return payload + b"\n"


def parsed_otherwise(data: bytes) -> None:
    parse("a/b.csv", data, Csv(delimiter=";", decimal=",", time_unit="s", columns={"flow": "Flow"}, asset="folder"), Statistics())


def prepared(data: bytes) -> None:
    """A data card without the listed files."""
    with scratch() as folder:
        (folder / "card.json").write_bytes(data)
        load_prepared(folder)


def reports(path: Path) -> None:
    for each in read(path).results:
        summary(each)


def report_trees(tree: Any) -> None:
    text = json.dumps(tree).encode()
    in_file("r.jsonl", reports)(text + b"\n" + json.dumps({"topic": "x", "text": text.decode()}).encode() + b"\n")


TABLE = b"u;t;x [mm];y\n" + b"".join(b"%d;%d;%d,5;%d\n" % (row // 20, row, row * 7 % 11, row % 3) for row in range(60))
TABLE_SPEC = b"target: y\nderived: {p: a * b}\nchannels: {a: {column: A, range: [0, 1], values: {x: 1}}}\nviews: [{every: 2, steps: 3}]\n"


def table(path: Path) -> None:
    columns = tables.read([path])
    for classify in (False, True):
        spec = specs.load(Namespace(target="y", group="u"), None)
        made = build(columns, spec, classify)
        checks.require_enough(made, "u")
        list(checks.leaks(made))


def engines(data: bytes) -> None:
    with scratch() as folder:
        for name in ("train_FD001.txt", "test_FD001.txt"):
            (folder / name).write_bytes(data)
        (folder / "RUL_FD001.txt").write_bytes(b"5\n7\n")
        cmapss.load_cmapss(folder)


def milling(data: bytes) -> None:
    with scratch() as folder:
        (folder / "ai4i2020.csv").write_bytes(data)
        ai4i.load_ai4i(folder)


def unpacked(data: bytes) -> None:
    with scratch() as folder:
        inside = folder / "in"
        inside.mkdir()
        unpack(data, inside, "s3://b/model.tar.gz")
        assert [path.name for path in folder.iterdir()] == ["in"]


def tars() -> list[bytes]:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as tar:
        for name, content in (("pump/manifest.json", b"{}"), ("pump/model.tflite", b"abc" * 200)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return [file.getvalue()]


def tar_of(content: bytes) -> None:
    """Compress the archive, so that the fuzzer reaches the code behind the decompression."""
    unpacked(gzip.compress(content, 1, mtime=0))


def archive_zips() -> list[bytes]:
    inner, outer = io.BytesIO(), io.BytesIO()
    for file, name, content in ((inner, "a.csv", b"x"), (outer, "b.zip", b"")):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(zipfile.ZipInfo(name), content or inner.getvalue())
    return [outer.getvalue()]


def hyperparameters(text: str) -> None:
    Container(base=Path("/nowhere"), environ={"SM_HPS": text}).arguments()


def evaluated(data: bytes) -> None:
    provenance.file_state(provenance.DATASETS["skab"], "other/1.csv", data)


PREPARED_CARD = msgspec.json.encode({"version": "0" * 64, "plan": {"name": "rig"}, "partitions": []})

TARGETS: dict[str, Target] = {
    "plan": Target(
        ("model_training.prepare.plan.load_plan",),
        "bytes",
        in_file("p.yaml", load_plan),
        (PrepareError, OptionsError),
        lambda: [PLAN],
    ),
    "plan-tree": Target(
        ("model_training.prepare.plan.load_plan",),
        "tree",
        lambda tree: in_file("p.yaml", load_plan)(json.dumps(tree).encode()),
        (PrepareError, OptionsError),
        lambda: [
            {
                "name": "rig",
                "channels": ["a"],
                "ranges": {"a": {"low": 0, "high": 1}},
                "derived": {"b": {"function": "ratio", "of": ["a", "a"]}},
            }
        ],
    ),
    "parse": Target(
        (
            "model_training.prepare.parse.parse",
            "model_training.prepare.captured_rows.parse_captured",
            "model_training.prepare.captured_rows.parse_messages",
        ),
        "bytes",
        parsed,
        (PrepareError,),
        lambda: [segments()[0], recording_text(ISO_TIMES), piece()],
    ),
    "parse-numbers": Target(
        ("model_training.prepare.csv_rows.parse_csv",),
        "bytes",
        parsed_otherwise,
        (PrepareError,),
        lambda: [recording_text(("1583748873", "1583748874,5", "1,5e9"), ";", comma=True)],
    ),
    "gzip": Target(
        ("model_training.prepare.sources.text", "model_training.bounded_decompression.BoundedReader.read"),
        "bytes",
        sources.text,
        (PrepareError,),
        lambda: [gzip.compress(b"a,b\n" * 20, mtime=0), b"a"],
    ),
    "prepared": Target(
        ("model_training.prepare.parquet.load_prepared",),
        "bytes",
        prepared,
        (PrepareError,),
        lambda: [PREPARED_CARD],
    ),
    "skab": Target(
        ("model_training.datasets.skab.read_recording",),
        "bytes",
        lambda data: skab.read_recording("r", data),
        (DatasetError,),
        lambda: [SKAB],
    ),
    "judged-recording": Target(
        ("model_training.evaluation.recordings.load",),
        "bytes",
        in_file("g/r.csv", load),
        (SourceError,),
        lambda: [LONG],
    ),
    "table": Target(("model_training.tables.read.read",), "bytes", in_file("t.csv", table), (TrainingError,), lambda: [TABLE]),
    "table-spec": Target(
        ("model_training.tables.spec.load",),
        "bytes",
        in_file("s.yaml", lambda path: specs.load(Namespace(), path)),
        (TrainingError,),
        lambda: [TABLE_SPEC],
    ),
    "formula": Target(
        ("model_training.tables.formula.Formula",), "text", Formula, (FormulaError,), lambda: ["a * b - max('c d', 2)", "-(a / b)"]
    ),
    "cmapss": Target(("model_training.datasets.cmapss.load_cmapss",), "bytes", engines, (DatasetError,), lambda: [TURBINES]),
    "ai4i": Target(("model_training.datasets.ai4i.load_ai4i",), "bytes", milling, (DatasetError,), lambda: [MILLING]),
    "dataset-file": Target(("model_training.datasets.provenance.file_state",), "bytes", evaluated, (), lambda: [SKAB]),
    "dataset-zip": Target(
        ("model_training.datasets.fetch._members",),
        "bytes",
        lambda data: fetch._members(data, "here"),
        (DatasetError,),
        archive_zips,
    ),
    "model-archive": Target(("model_training.sagemaker.artifact.unpack",), "bytes", unpacked, (TrainingError,), tars),
    "model-archive-inside": Target(
        ("model_training.sagemaker.artifact.unpack",),
        "bytes",
        tar_of,
        (TrainingError,),
        lambda: [gzip.decompress(tars()[0])],
    ),
    "reported": Target(
        ("model_training.reported_results.read",),
        "bytes",
        in_file("r.jsonl", reports),
        (FileNotFoundError,),
        lambda: [json.dumps(REPORT).encode() + b"\n" + json.dumps({"topic": "x", "text": json.dumps(REPORT)}).encode() + b"\n"],
    ),
    "reported-tree": Target(("model_training.reported_results.read",), "tree", report_trees, (FileNotFoundError,), lambda: [REPORT]),
    "hyperparameters": Target(
        ("model_training.training_container.Container.arguments",),
        "text",
        hyperparameters,
        (TrainingError,),
        lambda: ['{"seed": "5", "quick": "true", "sagemaker_program": "x", "list": "[1]"}'],
    ),
}
