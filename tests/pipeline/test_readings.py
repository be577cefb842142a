"""The same times and numbers through every reader: csv, jsonl, prepare, and the reader of public recordings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from model_training.datasets import DatasetError
from model_training.datasets import skab as dataset
from model_training.prepare.parse import parse
from model_training.prepare.plan import Csv
from model_training.prepare.rows import PrepareError, Statistics

from edgeml.parsing import readings
from edgeml.timestamps import SECOND, from_iso
from sensor_ingestion.sources.base import Clocks, Source
from sensor_ingestion.sources.csv_replay import CsvReplay, CsvReplayOptions
from sensor_ingestion.sources.jsonl import Jsonl, JsonlOptions

ROOT = Path(__file__).resolve().parents[2]
CLOCKS = Clocks(lambda: 0.0, lambda: 7)
T0 = 1_583_748_873 * SECOND  # 2020-03-09T10:14:33Z

TIMES: list[tuple[str, str, str, int | None]] = [
    # unit, decimal sign, text, ns since the epoch or None: not understood
    ("iso", ".", "2020-03-09 10:14:33", T0),
    ("iso", ".", "2020-03-09T10:14:33Z", T0),
    ("iso", ".", "2020-03-09t10:14:33z", T0),
    ("iso", ".", " 2020-03-09T10:14:33Z\t", T0),
    ("iso", ".", "20200309T101433Z", T0),
    ("iso", ".", "2020-03-09T11:14:33+01:00", T0),
    ("iso", ".", "2020-03-09T11:14:33+0100", T0),
    ("iso", ".", "2020-03-09T11:14:33+01", T0),
    ("iso", ".", "2020-03-09 11:14:33 +01:00", T0),
    ("iso", ".", "2020-03-09T04:44:33-05:30", T0),
    ("iso", ".", "2020-10-25T02:30:00+02:00", 1_603_585_800 * SECOND),  # the hour that is there twice
    ("iso", ".", "2020-10-25T02:30:00+01:00", 1_603_589_400 * SECOND),
    ("iso", ".", "2020-03-09", 1_583_712_000 * SECOND),
    ("iso", ".", "2020-03-09T10:14", T0 - 33 * SECOND),
    ("iso", ".", "2020-03-09T10:14:33.5", T0 + SECOND // 2),
    ("iso", ".", "2020-03-09T10:14:33.1", T0 + 100_000_000),
    ("iso", ".", "2020-03-09T10:14:33.12345", T0 + 123_450_000),
    ("iso", ".", "2020-03-09T10:14:33.1234567Z", T0 + 123_456_700),
    ("iso", ".", "2020-03-09T10:14:33.123456789Z", T0 + 123_456_789),
    ("iso", ".", "2020-03-09T10:14:33.1234567891+00:00", T0 + 123_456_789),
    ("iso", ".", "2020-03-09T10:14:33.9999999999", T0 + SECOND),
    ("iso", ",", "2020-03-09T10:14:33,5", T0 + SECOND // 2),
    ("iso", ".", "1970-01-01T00:00:00Z", 0),
    ("iso", ".", "2262-04-11T23:47:16.854775807Z", 2**63 - 1),
    ("iso", ".", "2020-02-29T00:00:00", 1_582_934_400 * SECOND),
    *(
        ("iso", ".", text, None)
        for text in (
            "1583748873",
            "1583748873.5",
            "20200309",
            "now",
            "today",
            "NaT",
            "nat",
            "20-03-09 10:14:33",
            "09.03.2020 10:14:33",
            "3/9/2020 10:14",
            "1969-12-31T23:59:59Z",
            "2262-04-11T23:47:17Z",
            "2300-01-01",
            "9999-12-31T23:59:59",
            "0020-03-09",
            "+2020-03-09",
            "2020-02-30",
            "2019-02-29",
            "2020-13-01",
            "2020-03-09T24:00:00",
            "2020-03-09T10:60:00",
            "2016-12-31T23:59:60Z",
            "2020-03-09T10:14:33+24:00",
            "2020-03-09T10:14:33+01:60",
            "2020-03-09T10:14:33 CET",
            "2020-03-09T10:14:33.",
            "2020-W11-1",
            "2020-069",
            "\uff12\uff10\uff12\uff10-03-09",
            "2_020-03-09",
            "12:00",
            "noon",
            "2020-03-09T10:14:33\u22125",
            "2020-03",
            "2020",
            "x" * 5000,
        )
    ),
    ("s", ".", "1583748873", T0),
    ("s", ".", " 1583748873.25 ", T0 + SECOND // 4),
    ("s", ".", "1583748873.123456789", T0 + 123_456_789),
    ("s", ".", "1.583748873e9", T0),
    ("s", ",", "1583748873,25", T0 + SECOND // 4),
    ("s", ".", "0", 0),
    ("ms", ".", "1583748873001", T0 + 1_000_000),
    ("ms", ".", "1583748873000.5", T0 + 500_000),
    ("us", ".", "1583748873000001", T0 + 1_000),
    ("ns", ".", str(T0 + 1), T0 + 1),
    ("ns", ".", str(2**63 - 1), 2**63 - 1),
    ("ns", ".", str(2**63), None),
    ("ms", ".", "1e999", None),
    ("s", ".", "1e-999999999", 0),
    ("s", ".", "9" * 30, None),
    ("s", ".", "-1", None),
    ("s", ".", "-0.001", None),
    *(
        ("s", ".", text, None)
        for text in (
            "1583748873,25",
            "1.583.748.873",
            "1,583,748,873",
            "1_583_748_873",
            "0x5e661a09",
            "nan",
            "inf",
            "-inf",
            "1e",
            "15837 48873",
            "",
            "\u0661\u0665",
            "2020-03-09",
            "now",
            "\uff11\uff15",
            "1" * 500,
            "true",
        )
    ),
    *(("s", ",", text, None) for text in ("1583748873.25", "1.583.748.873,5", "1.583748873")),
]

NUMBERS: list[tuple[str, str, float | None, bool]] = [
    # decimal sign, text, the value (None: missing), whether it is named
    (".", "121.5", 121.5, False),
    (".", " 121.5\t", 121.5, False),
    (".", "-1e-3", -0.001, False),
    (".", "+.5", 0.5, False),
    (".", "5.", 5, False),
    (".", "007", 7, False),
    (".", "1E3", 1000, False),
    (".", "1e-999", 0, False),
    (",", "121,5", 121.5, False),
    (",", "1,5e3", 1500, False),
    (",", "42", 42, False),
    (".", "3.4e38", 3.4e38, False),
    (".", '"121.5"', 121.5, False),
    (",", '"121,5"', 121.5, False),
    *((".", text, None, False) for text in ("", " ", "nan", "NaN", "-nan", "null", "None", "NA", "n/a", '""')),
    *(
        (".", text, None, True)
        for text in (
            "1_000",
            "1 000",
            "1,000.5",
            "1.000.000",
            "0x1F",
            "inf",
            "-Infinity",
            "1e999",
            "1e39",
            "-3.5e38",
            "1e",
            "e5",
            "--5",
            "5-",
            "1.5.",
            "five",
            "12 bar",
            "\uff11\uff12",
            "\u0661\u0662",
            "\u00b2",
            "\u221212",
            "1\u00a0000",
            "true",
            "1" * 500,
            "1\x000",
            "12\ufeff",
            "\u202f12",
            "1'000",
        )
    ),
    *((",", text, None, True) for text in ("121.5", "1.000,5", "1.000", "1,000,000", "1_0")),
]


def rows(source: Source) -> tuple[np.ndarray, np.ndarray]:
    blocks = []
    while not source.finished:
        block = source.read(0.0, 100)
        if block is not None:
            blocks.append(block)
    if not blocks:
        return np.empty(0, np.int64), np.empty((0, 2), "f4")
    return np.concatenate([block.times for block in blocks]), np.concatenate([block.values for block in blocks])


def by_csv(path: Path, content: bytes, unit: str, decimal: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    path.write_bytes(content)
    options = CsvReplayOptions(
        str(path),
        speed=0,
        delimiter=";",
        time_unit=unit,
        decimal=decimal,
        columns={"flow": "flow", "amps": "amps"},
        # type: ignore[arg-type]
    )
    source = CsvReplay(options, CLOCKS)
    times, values = rows(source)
    source.close()
    return times, values, list(source.faults)


def by_prepare(content: bytes, unit: str, decimal: str) -> tuple[np.ndarray, np.ndarray, Statistics]:
    tally = Statistics()
    layout = Csv(delimiter=";", time_unit=unit, decimal=decimal, columns={"flow": "flow", "amps": "amps"})  # type: ignore[arg-type]
    try:
        (found,) = parse("x.csv", content, layout, tally)
    except PrepareError:
        return np.empty(0, np.int64), np.empty((0, 2), "f4"), tally
    return found.times, found.values, tally


def by_jsonl(path: Path, lines: list[bytes]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    source = Jsonl(JsonlOptions(fifo=str(path), units={"flow": "l/min", "amps": "A"}), CLOCKS)
    writer = os.open(path, os.O_WRONLY)
    found = []
    for line in lines:
        os.write(writer, line + b"\n")
        block = source.read(0.0, 5)
        if block is not None:
            found.append(block)
    os.close(writer)
    source.close()
    times = np.concatenate([block.times for block in found]) if found else np.empty(0, np.int64)
    return times, np.concatenate([block.values for block in found]) if found else np.empty((0, 2), "f4"), list(source.faults)


@pytest.mark.parametrize(("unit", "decimal", "text", "ns"), TIMES)
def test_times_are_parsed(tmp_path: Path, unit: str, decimal: str, text: str, ns: int | None) -> None:
    """A row whose time is not understood is named and left out; the rows around it stay."""
    before, after = ("2020-03-09 10:14:30", "2020-03-09 10:14:40") if unit == "iso" else ("1", "2")
    content = f"time;flow;amps\n{before};1;4\n{text};2;5\n{after};3;6\n".encode()
    times, values, faults = by_csv(tmp_path / "a.csv", content, unit, decimal)
    prepared, also, tally = by_prepare(content, unit, decimal)
    expected = [1, 2, 3] if ns is not None else [1, 3]
    assert values[:, 0].tolist() == also[:, 0].tolist() == expected and times.tolist() == prepared.tolist()
    if ns is not None:
        assert int(times[1]) == ns and [fault for fault in faults if "backwards" not in fault] == [] and not tally.rows
    else:
        (fault,) = [fault for fault in faults if "backwards" not in fault]
        assert f"{tmp_path / 'a.csv'}:3, column 'time': {text[:40]!r} is " in fault and len(fault) < 400
        assert tally.rows == {"invalid time": 1} and "x.csv, line 3" in tally.examples["invalid time"]


@pytest.mark.parametrize(("text", "ns"), [(text, ns) for unit, _, text, ns in TIMES if unit == "iso"])
def test_iso_times_in_lines_of_json_are_parsed(tmp_path: Path, text: str, ns: int | None) -> None:
    times, values, faults = by_jsonl(tmp_path / "in", [json.dumps({"time": text, "flow": 1}).encode(), b'{"time": 1, "flow": 2}'])
    assert values[:, 0].tolist() == ([1, 2] if ns is not None else [2])
    assert int(times[0]) == (SECOND if ns is None else ns)
    assert (len(faults), all("line 1: `time` is" in fault and len(fault) < 400 for fault in faults)) == (int(ns is None), True)


@pytest.mark.parametrize(("text", "ns"), [(text, ns) for unit, sign, text, ns in TIMES if (unit, sign) == ("s", ".") and text])
def test_seconds_in_lines_of_json_are_parsed(tmp_path: Path, text: str, ns: int | None) -> None:
    """Unquoted, as written: text that is no JSON is no line."""
    times, values, faults = by_jsonl(tmp_path / "in", [f'{{"time": {text}, "flow": 1}}'.encode(), b'{"time": 1, "flow": 2}'])
    assert values[:, 0].tolist() == ([1, 2] if ns is not None else [2]) and int(times[0]) == (SECOND if ns is None else ns)
    assert len(faults) == int(ns is None)


@pytest.mark.parametrize(("decimal", "text", "value", "named"), NUMBERS)
def test_numbers_are_parsed(tmp_path: Path, decimal: str, text: str, value: float | None, named: bool) -> None:
    """A value that is not understood is missing and named; its row stays."""
    content = f"time;flow;amps\n1;1;4\n2;{text};5\n3;3;6\n".encode()
    times, values, faults = by_csv(tmp_path / "a.csv", content, "s", decimal)
    prepared, also, tally = by_prepare(content, "s", decimal)
    expected = np.array([[1, 4], [np.nan if value is None else value, 5], [3, 6]], "f4")
    assert np.array_equal(values, expected, equal_nan=True) and np.array_equal(also, expected, equal_nan=True)
    assert times.tolist() == prepared.tolist() == [SECOND, 2 * SECOND, 3 * SECOND]
    assert len(faults) == int(named) and tally.values == ({"not a number": 1} if named else {}) and not tally.rows
    if named:
        assert f"{tmp_path / 'a.csv'}:3, column 'flow': " in faults[0] and len(faults[0]) < 400
        assert "x.csv, line 3, column 'flow'" in tally.examples["not a number"]


@pytest.mark.parametrize(
    ("text", "value", "named"),
    [
        ("121.5", 121.5, False),
        ("-1e-3", -0.001, False),
        ("1E3", 1000, False),
        ("1e-999", 0, False),
        ("null", None, False),
        ("NaN", None, False),
        ("Infinity", None, True),
        ("-Infinity", None, True),
        ("1e999", None, True),
        ("1e39", None, True),
        ("1" * 500, None, True),
        ("true", None, True),
        ('"121.5"', None, True),
    ],
)
def test_numbers_in_lines_of_json_are_parsed(tmp_path: Path, text: str, value: float | None, named: bool) -> None:
    line = f'{{"time": 2, "flow": {text}, "amps": 5}}'.encode()
    times, values, faults = by_jsonl(tmp_path / "in", [b'{"time": 1, "flow": 1, "amps": 4}', line, b'{"time": 3, "flow": 3, "amps": 6}'])
    expected = np.array([[1, 4], [np.nan if value is None else value, 5], [3, 6]], "f4")
    assert np.array_equal(values, expected, equal_nan=True) and times.tolist() == [SECOND, 2 * SECOND, 3 * SECOND]
    assert len(faults) == int(named) and all("line 2: `flow` is" in fault for fault in faults)


LAYOUTS = [
    # description, the whole file, the flows in it, the number of skipped rows
    ("plain", b"time;flow;amps\n1;1;4\n2;2;5\n", [1, 2], 0),
    ("BOM", b"\xef\xbb\xbftime;flow;amps\n1;1;4\n2;2;5\n", [1, 2], 0),
    ("CR LF", b"time;flow;amps\r\n1;1;4\r\n2;2;5\r\n", [1, 2], 0),
    ("CR", b"time;flow;amps\r1;1;4\r2;2;5\r", [1, 2], 0),
    ("no end of the last line", b"time;flow;amps\n1;1;4\n2;2;5", [1, 2], 0),
    ("empty lines", b"time;flow;amps\n\n1;1;4\n  \n\r\n2;2;5\n\n", [1, 2], 0),
    ("a quote that is not closed", b'time;flow;amps\n1;1;4\n2;"2;5\n3;3;6\n4;4;"7"\n', [1, 3, 4], 1),
    ("a quote in the middle", b'time;flow;amps\n1;1;4\n2;"2"2;5\n3;3;6\n', [1, 3], 1),
    ("a line break in quotes", b'time;flow;amps;note\n1;1;4;"two\n2;2;lines"\n3;3;6;\n', [3], 2),
    ("quotes and blanks", b'time;flow;amps\n "1" ;\t"1";4\n2;2;5\n', [1, 2], 0),
    ("a delimiter in quotes", b'time;flow;amps;note\n1;1;4;"a;b ""c"""\n2;2;5;\n', [1, 2], 0),
    ("quotes", b'time;"flow";amps\n"1";"1";"4"\n2;2;"5"\n', [1, 2], 0),
    ("an empty cell at the end", b"time;flow;amps\n1;1;4;\n2;2;5;;\n", [1, 2], 0),
    ("a cell too many", b"time;flow;amps\n1;1;4\n2;9;2;5\n3;3;6\n", [1, 3], 1),
    ("NUL bytes", b"time;flow;amps\n1;1;4\n2;\0;5\n\0\0\0\n3;3;6\n", [1, None, 3], None),
    ("not UTF-8", b"time;flow;amps;\xb0C\n1;1;4;\xff\n2;\xe9;5;1\n3;3;6;1\n", [1, None, 3], 0),
    ("a long cell", b"time;flow;amps;note\n1;1;4;" + b"x" * 60_000 + b"\n2;" + b"9" * 60_000 + b";5;\n3;3;6;\n", [1, None, 3], 0),
    ("a long line", b"time;flow;amps\n1;1;4\n2;" + b" " * 200_000 + b"2;5\n3;3;6\n", [1, 3], 1),
]


@pytest.mark.parametrize(("content", "flows", "skipped"), [row[1:] for row in LAYOUTS], ids=[row[0] for row in LAYOUTS])
def test_files_are_read(tmp_path: Path, content: bytes, flows: list[float | None], skipped: int | None) -> None:
    times, values, faults = by_csv(tmp_path / "a.csv", content, "s", ".")
    prepared, also, tally = by_prepare(content, "s", ".")
    expected = np.array([np.nan if flow is None else flow for flow in flows], "f4")
    assert np.array_equal(values[:, 0], expected, equal_nan=True) and np.array_equal(values, also, equal_nan=True)
    assert times.tolist() == prepared.tolist()
    if skipped is not None:
        assert sum("is skipped" in fault for fault in faults) == skipped == sum(tally.rows.values())
    assert all(len(fault) < 400 for fault in faults) and tally.seen == len(prepared) + sum(tally.rows.values())


@pytest.mark.parametrize(("cell", "place"), [("1_000", 3), ("now", 0), ("1e999", 5), ("", 2), ("\uff11", 4)])
def test_public_recordings_are_refused_with_line_and_cell(cell: str, place: int) -> None:
    cells = ["2020-03-09 10:14:33", *"12345678"]
    good = ";".join(cells)
    cells[place] = cell
    content = "\n".join([";".join(("datetime", *dataset.COLUMNS)), good, ";".join(cells)]).encode()
    with pytest.raises(DatasetError, match="line 3: "):
        dataset.read_recording("valve1/0.csv", content)


def test_vectorised_reading_equals_reading_one_by_one() -> None:
    """The quick way through a chunk must not differ from the slow one."""
    for unit in ("iso", "s", "ms", "us", "ns"):
        for decimal in (".", ","):
            texts = [text for of, sign, text, ns in TIMES if of == unit and sign == decimal and ns is not None]
            each = [readings.time_ns(text, unit, decimal) for text in texts]
            assert readings.times_ns(texts, unit, decimal)[0].tolist() == each
            for text, ns in zip(texts, each, strict=True):  # alone in its chunk it takes the quick way if any can
                assert readings.times_ns([text] * 2, unit, decimal)[0].tolist() == [ns, ns]
    for decimal in (".", ","):
        texts = [text for sign, text, _, _ in NUMBERS if sign == decimal]
        whole, reasons = readings.numbers(texts, decimal)
        for place, text in enumerate(texts):
            value, reason = readings.numbers([text] * 2, decimal)
            assert np.array_equal(value, whole[[place, place]], equal_nan=True) and (place in reasons) == bool(reason)
    assert readings.numbers([])[0].shape == (0,) and readings.times_ns([])[0].shape == (0,)


PYENV = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
PYTHONS = [Path(sys.executable), Path("/usr/bin/python3"), *sorted(PYENV.glob("versions/3.1[0-3].*/bin/python"))]


@pytest.mark.parametrize("python", [path for path in PYTHONS if path.exists()], ids=str)
def test_every_python_reads_the_same_times(python: Path) -> None:
    """`edgeml.timestamps` needs no package, so that it runs on a bare Python of each version."""
    if subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 10))"], check=False).returncode != 0:
        pytest.skip("it is older than 3.10")
    texts = [text for unit, _, text, _ in TIMES if unit == "iso"]
    code = """
import json, sys
from edgeml.timestamps import from_iso
def read(text):
    try:
        return from_iso(text)
    except ValueError as fault:
        return str(fault)
print(json.dumps([read(text) for text in json.load(sys.stdin)]))
"""
    done = subprocess.run(
        [python, "-c", code],
        input=json.dumps(texts),
        env={"PYTHONPATH": str(ROOT / "libs")},
        capture_output=True,
        text=True,
        check=True,
    )
    ours = []
    for text in texts:
        try:
            ours.append(from_iso(text))
        except ValueError as fault:
            ours.append(str(fault))
    assert json.loads(done.stdout) == ours
