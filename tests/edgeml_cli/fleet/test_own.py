"""What edgeml fleet status says of the components' own health: objects as Firehose writes them, in moto's S3."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from edgeml.cloud.outbox import OutboxMessage
from edgeml.messages import Health, encode_json
from edgeml.timestamps import to_iso
from edgeml_cli.build.package import COMPONENTS
from edgeml_cli.fleet import health_reports, status
from edgeml_cli.fleet.aws_account import Account
from edgeml_cli.fleet.health_reports import HealthReports
from tests.edgeml_cli.fleet.conftest import ACCOUNT, REGION, Cloud
from tests.edgeml_cli.fleet.standin import Deployment

DATA = f"edgeml-data-{REGION}-{ACCOUNT}"
INGESTION, INFERENCE, DISPATCHER = COMPONENTS
NOW = datetime.now(timezone.utc)


class Core:
    """A core device that runs the suite, of which nothing is asked but what it has installed."""

    def __init__(self, thing: str) -> None:
        self.thing = thing

    def installed(self) -> list[dict[str, Any]]:
        return [{"componentName": name, "componentVersion": "0.1.0", "lifecycleState": "RUNNING", "isRoot": True} for name in COMPONENTS]

    def carry_out(self, deployment: Deployment, recipes: dict[str, dict[str, dict[str, Any]]]) -> str:
        raise AssertionError("nothing is deployed here")


@pytest.fixture
def data(cloud: Cloud) -> Cloud:
    """With an empty data bucket and two core devices."""
    cloud.client("s3").create_bucket(Bucket=DATA)
    for thing in ("plant-1", "plant-2"):
        cloud.standin.devices[thing] = Core(thing)
    return cloud


def said(thing: str, component: str, ago_s: float, state: str = "running", *faults: str) -> bytes:
    """A line: what AlertDispatcher sends, and the rule's `thing`."""
    at_ns = int((NOW.timestamp() - ago_s) * 1e9)
    payload = encode_json(Health(component=component, at=to_iso(at_ns), state=state, faults=faults, lag_s=0.5))
    message = json.loads(OutboxMessage(1, "", at_ns, 0.0, "", payload).message("0123456789abcdef-1", late=False))
    return json.dumps({**message, "thing": thing}, separators=(",", ":")).encode() + b"\n"


def put(cloud: Cloud, number: int, *lines: bytes, days_ago: int = 0, whole: bool = True) -> None:
    """An object of the stream, the `number`th that it wrote."""
    day = NOW - timedelta(days=days_ago)
    key = f"health/{day:%Y/%m/%d}/edgeml-health-1-{day:%Y-%m-%d}-00-00-{number:02}-0f8fad5b-d9cb-469f-a165-70867728950e.gz"
    packed = gzip.compress(b"".join(lines))
    cloud.client("s3").put_object(Bucket=DATA, Key=key, Body=packed if whole else packed[: len(packed) // 2])


def of_all(thing: str, ago_s: float) -> list[bytes]:
    return [said(thing, name, ago_s) for name in COMPONENTS]


def test_the_newest_word_of_each_component_is_shown(data: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    put(data, 1, *of_all("plant-1", 3000), *of_all("plant-2", 3000), said("plant-2", INFERENCE, 2900, "faulty", "no model"))
    put(data, 2, *of_all("stranger", 900), said("plant-1", INFERENCE, 900, "running", "the model\nis old"), b"{}\n", b"no message\n")
    assert status.main(["status"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    at = to_iso(int((NOW.timestamp() - 3000) * 1e9))
    assert "components say" in lines[0] and lines[1].startswith("plant-1  healthy") and f"1 of 3 not well {at}" in lines[1]
    assert lines[2].startswith(f"    {INFERENCE} said at ") and lines[2].endswith(": running; the model is old")
    assert lines[4].endswith(": faulty; no model")
    assert lines[5] == "2 core devices, 2 not well" and "stranger" not in out and err == ""

    assert status.main(["status", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert {name: each["state"] for name, each in second["said"].items()} == {**dict.fromkeys(COMPONENTS, "running"), INFERENCE: "faulty"}
    assert first["said"][INFERENCE]["faults"] == ["the model\nis old"] and first["said"][INFERENCE]["lag_s"] == 0.5


def test_yesterdays_is_looked_at_where_todays_has_not_all_and_a_cut_object_is_left_out(
    data: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    put(data, 1, *of_all("plant-1", 90_000), *of_all("plant-2", 90_000), days_ago=1)
    put(data, 2, said("plant-1", DISPATCHER, 60))
    put(data, 3, *of_all("plant-1", 30), whole=False)
    assert status.main(["status", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    ages = {name: each["at"] for name, each in first["said"].items()}
    assert ages[DISPATCHER] > ages[INFERENCE] and len(second["said"]) == 3


@pytest.mark.parametrize(
    ("arguments", "objects", "sentence"),
    [
        (["--data-bucket", "nobodys-bucket"], True, "there is no bucket nobodys-bucket; make it with edgeml cloud deploy"),
        ([], False, f"s3://{DATA}/health/ has nothing of the last 2 days; AlertDispatcher sends it to IoT Core, and Firehose"),
        ([], True, f"not every component of plant-2 is in the newest 1 objects of the last 2 days in s3://{DATA}/health/"),
    ],
)
def test_where_there_is_none_it_says_so_and_shows_the_rest(
    data: Cloud, capsys: pytest.CaptureFixture[str], arguments: list[str], objects: bool, sentence: str
) -> None:
    if objects:
        put(data, 1, *of_all("plant-1", 60))
    assert status.main(["status", "--json", *arguments]) == 0
    out, err = capsys.readouterr()
    assert [row["device"] for row in json.loads(out)] == ["plant-1", "plant-2"] and err.count("\n") == 1 and sentence in err
    assert status.main(["status", *arguments]) == 0
    assert "plant-2  healthy" in capsys.readouterr().out


def test_a_service_that_does_not_answer_is_a_sentence_too(
    data: Cloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert status.main(["status"]) == 0
    out, err = capsys.readouterr()
    assert "2 core devices, 0 not well" in out and "whether this machine has a way there" in err


def test_reading_is_bounded(data: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_reports, "OBJECTS", 2)
    for number, name in enumerate(COMPONENTS):
        put(data, number, said("plant-1", name, 60))
    wanted = {"plant-1": frozenset(COMPONENTS)}
    found, why = HealthReports(Account(REGION), None).last(wanted, NOW)
    assert list(found["plant-1"]) == [DISPATCHER, INFERENCE] and "the newest 2 objects" in why
    monkeypatch.setattr(health_reports, "OBJECTS", 3)
    assert HealthReports(Account(REGION), None).last(wanted, NOW)[1] == ""
    monkeypatch.setattr(health_reports, "OBJECT_BYTES", 10)
    assert HealthReports(Account(REGION), None).last(wanted, NOW)[0] == {"plant-1": {}}
