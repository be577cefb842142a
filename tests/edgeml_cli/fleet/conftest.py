"""A simulated AWS account on loopback: moto's server for S3, STS, IAM, IoT, SNS and CloudFormation, and a fake Greengrass service.

AWS's environment variables alone direct the project's code to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from moto.server import ThreadedMotoServer

from edgeml_cli.fleet import publish
from tests.edgeml_cli.fleet.fake_greengrass import FakeGreengrass

REGION, ACCOUNT = "us-east-1", "123456789012"
BUCKET = f"edgeml-components-{REGION}-{ACCOUNT}"


@dataclass
class Cloud:
    """The account, with an empty artifact bucket.

    Attributes:
        moto: address of moto's server.
    """

    moto: str
    greengrass: FakeGreengrass

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=REGION)

    def objects(self, bucket: str = BUCKET) -> dict[str, str]:
        """ETag by key."""
        return {each["Key"]: each["ETag"] for each in self.client("s3").list_objects_v2(Bucket=bucket).get("Contents", ())}


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def cloud(moto_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    nothing = tmp_path / "no-configuration"
    urlopen(Request(f"{moto_url}/moto-api/reset", method="POST"), timeout=10).close()
    greengrass = FakeGreengrass(REGION, ACCOUNT)
    services = ("S3", "STS", "IAM", "IOT", "SNS", "CLOUDFORMATION")
    for name, value in {
        **{f"AWS_ENDPOINT_URL_{service}": moto_url for service in services},
        "AWS_ENDPOINT_URL_GREENGRASSV2": greengrass.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": str(nothing),
        "AWS_SHARED_CREDENTIALS_FILE": str(nothing),
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    # The tests must not write into the checkout's build directory.
    monkeypatch.setattr(publish, "BUILD_DIR", tmp_path / "publish")
    boto3.setup_default_session()
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    yield Cloud(moto_url, greengrass)
    greengrass.stop()


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Returns the error printed on standard error, which must be one sentence."""

    def one() -> str:
        text = capsys.readouterr().err
        assert text.count("\n") == 1, text
        return text

    return one
