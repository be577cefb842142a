"""The tutorial "Connect your own sensor", from the reader to the acknowledged alert, with its own code, configuration and commands."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeml.errors import MessageError
from edgeml.messages import Alert, ResultBlock, Status, decode
from edgeml_cli.site.markdown import blocks
from gglocal.core.state import Delivery

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "docs" / "tutorials" / "connect-a-sensor.md"]

CLOCK = """
def tick():  # a second of event time for each row, over restarts of the reader too
    with open({path!r}, "ab") as rows:
        rows.write(b".")
        return {start} + rows.tell()

"""


def files(document: Path) -> dict[str, str]:
    """Title -> text of the document's blocks that are files."""
    return {
        block.title: block.body for block in blocks(document.read_text(encoding="utf-8")) if block.title and block.language != "console"
    }


def started(document: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """The reader of a document, at 50 rows a second of the clock, and the configuration by component."""
    found = files(document)
    reader = folder / "reader.py"
    clock = CLOCK.format(path=str(folder / "rows"), start=int(time.time()) - 20_000)
    text = found["reader.py"].replace("while True:", f"{clock}\nwhile True:")
    for slow, fast in (("time.sleep(1)", "time.sleep(0.02)"), ("time.time()", "tick()")):
        assert slow in text
        text = text.replace(slow, fast)
    reader.write_text(text)
    config = found["config.yaml"].replace("/path/to/reader.py", str(reader)).replace("[python3,", f"[{sys.executable},")
    return reader, {name: update["merge"] for name, update in yaml.safe_load(config).items()}


def asset_of(config: dict[str, Any]) -> str:
    """The asset that the document's reader measures."""
    (asset,) = (name for name, options in config["com.edgeml.SensorIngestion"]["assets"].items() if options.get("source") == "jsonl")
    return str(asset)


def gglocal(root: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command line of the document against the nucleus in `root`."""
    line = [sys.executable, "-m", "gglocal.cli.main", *command]
    return subprocess.run([*line, "--root", str(root)], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_reader_of_a_document_is_scored(document: Path, line, version, tmp_path: Path) -> None:
    _, config = started(document, tmp_path)
    asset = asset_of(config)
    decided: list[float] = []

    def receive(delivery: Delivery) -> None:
        message = read(delivery)
        if isinstance(message, ResultBlock) and message.asset == asset:
            confidence = message.arrays().confidence
            decided.extend(confidence[confidence == confidence].tolist())

    suite = line()
    suite.nucleus.tap(receive)
    suite.deploy(config, version)
    suite.until(lambda: len(decided) > 50, 180, "results with a confidence")
    assert sorted(decided)[len(decided) // 2] < 0.9


def test_alert_follows_a_change_and_is_acknowledged(line, version, tmp_path: Path) -> None:
    document = DOCUMENTS[1]
    reader, config = started(document, tmp_path)
    asset = asset_of(config)
    alerts: list[Alert] = []
    decided, faults = [False], set()

    def receive(delivery: Delivery) -> None:
        message = read(delivery)
        if isinstance(message, Alert):
            alerts.append(message)
        elif isinstance(message, ResultBlock):
            confidence = message.arrays().confidence
            decided[0] |= bool((confidence == confidence).any())
        elif isinstance(message, Status):
            faults.update(message.faults)

    suite = line()
    suite.nucleus.tap(receive)
    suite.deploy(config, version)
    suite.until(lambda: decided[0], 120, "the first confidence")
    # Step 4.
    text = reader.read_text()
    assert "random.gauss(121, 0.4)" in text
    reader.write_text(text.replace("random.gauss(121, 0.4)", "random.gauss(90, 0.4)"))
    for pid in readers(reader):
        os.kill(pid, signal.SIGTERM)
    suite.until(lambda: any(alert.state == "active" and alert.asset == asset for alert in alerts), 120, "an active alert")
    # Step 5, by its command line.
    command = re.search(r"gglocal (pub --sign \S+) '(.*)'", document.read_text(encoding="utf-8"))
    assert command is not None
    alarm = next(alert.id for alert in alerts if alert.state == "active")
    ran = gglocal(suite.nucleus.root.path, [*command[1].split(), command[2].replace("ID OF THE ALERT", alarm)])
    assert ran.returncode == 0, ran.stderr
    suite.until(lambda: any(alert.state == "acknowledged" and alert.acknowledged_by == "Ada" for alert in alerts), 60, "the answer")
    followed = gglocal(suite.nucleus.root.path, ["sub", "edgeml/health", "--count", "1", "--timeout", "30"])
    assert followed.returncode == 0 and followed.stdout.startswith("edgeml/health")
    assert {fault for fault in faults if "unknown option" in fault} == set()


def read(delivery: Delivery) -> object:
    try:
        return decode(delivery.payload)
    except MessageError:
        return None


def readers(reader: Path) -> list[int]:
    """The processes that run the reader."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(reader).encode() in arguments[:3]:
            found.append(int(path.parent.name))
    return found
