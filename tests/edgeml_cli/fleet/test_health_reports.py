"""Health reports in `edgeml fleet status`: objects as Firehose writes them, in moto's S3."""

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
from tests.edgeml_cli.fleet.fake_greengrass import Deployment

DATA = f"edgeml-data-{REGION}-{ACCOUNT}"
INGESTION, INFERENCE, DISPATCHER = COMPONENTS
NOW = datetime.now(timezone.utc)


class Core:
    """A core device that runs the suite and receives no deployment."""

    def __init__(self, thing: str) -> None:
        self.thing = thing

    def installed(self) -> list[dict[str, Any]]:
        return [{"componentName": name, "componentVersion": "0.1.0", "lifecycleState": "RUNNING", "isRoot": True} for name in COMPONENTS]

    def deploy(self, deployment: Deployment, recipes: dict[str, dict[str, dict[str, Any]]]) -> str:
        raise AssertionError("nothing is deployed here")


@pytest.fixture
def data(cloud: Cloud) -> Cloud:
    """The account with an empty data bucket and two core devices."""
    cloud.client("s3").create_bucket(Bucket=DATA)
    for thing in ("plant-1", "plant-2"):
        cloud.greengrass.devices[thing] = Core(thing)
    return cloud


def line(thing: str, component: str, ago_s: float, state: str = "running", *faults: str) -> bytes:
    """A line of an object: a message of AlertDispatcher, with the rule's `thing`."""
    at_ns = int((NOW.timestamp() - ago_s) * 1e9)
    payload = encode_json(Health(component=component, at=to_iso(at_ns), state=state, faults=faults, lag_s=0.5))
    message = json.loads(OutboxMessage(1, "", at_ns, 0.0, "", payload).message("0123456789abcdef-1", late=False))
    return json.dumps({**message, "thing": thing}, separators=(",", ":")).encode() + b"\n"


def put(cloud: Cloud, number: int, *lines: bytes, days_ago: int = 0, whole: bool = True) -> None:
    """Store the `number`th object of the stream."""
    day = NOW - timedelta(days=days_ago)
    key = f"health/{day:%Y/%m/%d}/edgeml-health-1-{day:%Y-%m-%d}-00-00-{number:02}-0f8fad5b-d9cb-469f-a165-70867728950e.gz"
    packed = gzip.compress(b"".join(lines))
    cloud.client("s3").put_object(Bucket=DATA, Key=key, Body=packed if whole else packed[: len(packed) // 2])


def of_all(thing: str, ago_s: float) -> list[bytes]:
    return [line(thing, name, ago_s) for name in COMPONENTS]


def test_status_shows_the_latest_report_of_each_component(data: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    put(data, 1, *of_all("plant-1", 3000), *of_all("plant-2", 3000), line("plant-2", INFERENCE, 2900, "faulty", "no model"))
    put(data, 2, *of_all("stranger", 900), line("plant-1", INFERENCE, 900, "running", "the model\nis old"), b"{}\n", b"no message\n")
    assert status.main(["status"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    at = to_iso(int((NOW.timestamp() - 3000) * 1e9))
    assert "component health" in lines[0] and lines[1].startswith("plant-1  healthy") and f"1 of 3 unhealthy, {at}" in lines[1]
    assert lines[2].startswith(f"    {INFERENCE} reported at ") and lines[2].endswith(": running; the model is old")
    assert lines[4].endswith(": faulty; no model")
    assert lines[5] == "2 core devices, 2 unhealthy" and "stranger" not in out and err == ""

    assert status.main(["status", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["devices"]
    assert {name: each["state"] for name, each in second["health_reports"].items()} == {
        **dict.fromkeys(COMPONENTS, "running"),
        INFERENCE: "faulty",
    }
    assert first["health_reports"][INFERENCE]["faults"] == ["the model\nis old"] and first["health_reports"][INFERENCE]["lag_s"] == 0.5


def test_reports_of_yesterday_are_used_and_truncated_objects_skipped(data: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    put(data, 1, *of_all("plant-1", 90_000), *of_all("plant-2", 90_000), days_ago=1)
    put(data, 2, line("plant-1", DISPATCHER, 60))
    put(data, 3, *of_all("plant-1", 30), whole=False)
    assert status.main(["status", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["devices"]
    ages = {name: each["at"] for name, each in first["health_reports"].items()}
    assert ages[DISPATCHER] > ages[INFERENCE] and len(second["health_reports"]) == 3


@pytest.mark.parametrize(
    ("arguments", "objects", "sentence"),
    [
        (["--data-bucket", "nobodys-bucket"], True, "there is no bucket nobodys-bucket; create it with edgeml cloud deploy"),
        ([], False, f"s3://{DATA}/health/ has no reports of the last 2 days; AlertDispatcher sends them to IoT Core, and"),
        ([], True, f"plant-2: components are missing from the newest 1 objects of the last 2 days in s3://{DATA}/health/"),
    ],
)
def test_missing_reports_give_a_warning_and_the_status_is_shown(
    data: Cloud, capsys: pytest.CaptureFixture[str], arguments: list[str], objects: bool, sentence: str
) -> None:
    if objects:
        put(data, 1, *of_all("plant-1", 60))
    assert status.main(["status", "--json", *arguments]) == 0
    out, err = capsys.readouterr()
    assert [row["device"] for row in json.loads(out)["devices"]] == ["plant-1", "plant-2"] and err.count("\n") == 1 and sentence in err
    assert status.main(["status", *arguments]) == 0
    assert "plant-2  healthy" in capsys.readouterr().out


def test_unreachable_bucket_gives_a_warning(data: Cloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert status.main(["status"]) == 0
    out, err = capsys.readouterr()
    assert "2 core devices, 0 unhealthy" in out and "that this machine can reach it" in err


def test_reading_is_bounded(data: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_reports, "MAX_OBJECTS", 2)
    for number, name in enumerate(COMPONENTS):
        put(data, number, line("plant-1", name, 60))
    expected = {"plant-1": frozenset(COMPONENTS)}
    found, why = HealthReports(Account(REGION), None).latest(expected, NOW)
    assert list(found["plant-1"]) == [DISPATCHER, INFERENCE] and "the newest 2 objects" in why
    monkeypatch.setattr(health_reports, "MAX_OBJECTS", 3)
    assert HealthReports(Account(REGION), None).latest(expected, NOW)[1] == ""
    monkeypatch.setattr(health_reports, "MAX_OBJECT_BYTES", 10)
    assert HealthReports(Account(REGION), None).latest(expected, NOW)[0] == {"plant-1": {}}
