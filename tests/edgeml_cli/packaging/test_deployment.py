"""deployment.json is a valid input of `aws greengrassv2 create-deployment --cli-input-json`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import botocore.session
import botocore.validate
import pytest

from edgeml_cli.build.package import COMPONENTS, SUITE, deployment


@pytest.fixture(scope="module")
def request_shape() -> Any:
    model = botocore.session.get_session().get_service_model("greengrassv2")
    return model.operation_model("CreateDeployment").input_shape


def test_deployment_is_a_valid_request(built: Path, request_shape: Any) -> None:
    request = json.loads((built / "deployment.json").read_text())
    report = botocore.validate.ParamValidator().validate(request, request_shape)
    assert not report.has_errors(), report.generate_report()
    # botocore leaves patterns to the service.
    pattern = request_shape.members["targetArn"].metadata["pattern"]
    assert re.fullmatch(pattern, request["targetArn"])


def test_invalid_deployment_is_detected(request_shape: Any) -> None:
    broken = {**deployment("1.0.0"), "component": {}}
    del broken["targetArn"]
    report = botocore.validate.ParamValidator().validate(broken, request_shape).generate_report()
    assert "targetArn" in report and "component" in report


def test_deployment_contains_the_whole_suite_in_one_version(built: Path, version: str) -> None:
    components = json.loads((built / "deployment.json").read_text())["components"]
    assert components == {name: {"componentVersion": version} for name in (SUITE, *COMPONENTS)}
