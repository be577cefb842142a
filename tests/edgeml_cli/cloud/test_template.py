"""The template passes cfn-lint, and every permission in it names its resources and is used."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from model_training.sagemaker import images

from edgeml.messages import topics
from edgeml_cli.build.package import COMPONENTS
from edgeml_cli.cloud.template import TEMPLATE
from tests.edgeml_cli.cloud.resolved import ACCOUNT, REGION, Resolved

THING = "pump-gateway-7"
NEXT = THING + "0"
"""Another thing, whose name begins with that of the first."""
IOT = f"arn:aws:iot:{REGION}:{ACCOUNT}"
ARTIFACTS = f"arn:aws:s3:::edgeml-components-{REGION}-{ACCOUNT}"
DATA = f"arn:aws:s3:::edgeml-data-{REGION}-{ACCOUNT}"
TRAINING = f"arn:aws:s3:::edgeml-training-{REGION}-{ACCOUNT}"
LOGS = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:"
KINDS = ("results", "health", "captures")

WITHOUT_RESOURCE = {
    ("NucleusPolicy", "Deployments"): "AWS's minimal policy of a core device names no resource for the nucleus's calls of Greengrass",
    ("TrainingRole", "ImageLogin"): "ecr:GetAuthorizationToken has no resource",
    ("TrainingRole", "Metrics"): "cloudwatch:PutMetricData has no resource; a condition names the namespace",
}
"""Statements that cannot name a resource, each with the reason."""


class Use(NamedTuple):
    """An action of a role or policy on a resource."""

    actor: str
    action: str
    resource: str


def uses() -> Iterator[Use]:
    """Every use of these permissions by the suite and the services behind it."""
    for name, folder in COMPONENTS.items():
        yield Use("TokenExchangeRole", "s3:GetObject", f"{ARTIFACTS}/{name}/0.1.0/{folder}.zip")
    yield Use("TokenExchangeRole", "s3:GetBucketLocation", ARTIFACTS)
    for action in ("CreateLogGroup", "CreateLogStream", "PutLogEvents", "DescribeLogStreams"):
        yield Use("TokenExchangeRole", f"logs:{action}", f"{LOGS}/aws/greengrass/UserComponent/{REGION}/com.edgeml.Inference")
        yield Use("TrainingRole", f"logs:{action}", f"{LOGS}/aws/sagemaker/TrainingJobs:log-stream:j1/algo-1-1")
    yield from of_topics()
    for kind in KINDS:
        yield Use("RuleRole", "firehose:PutRecord", f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/edgeml-{kind}")
        for place in (f"{DATA}/{kind}/2026/11/25/a.gz", f"{DATA}/errors/{kind}-stream/processing-failed/2026/11/25/a.gz"):
            for action in ("PutObject", "GetObject", "AbortMultipartUpload"):
                yield Use("StreamRole", f"s3:{action}", place)
    for kind in ("alerts", *KINDS):
        yield Use("RuleRole", "s3:PutObject", f"{DATA}/errors/{kind}/0f8fad5b.json")
    yield Use("RuleRole", "sns:Publish", f"arn:aws:sns:{REGION}:{ACCOUNT}:edgeml-alerts")
    for action in ("GetBucketLocation", "ListBucket", "ListBucketMultipartUploads"):
        yield Use("StreamRole", f"s3:{action}", DATA)
    yield Use("StreamRole", "logs:PutLogEvents", f"{LOGS}/aws/kinesisfirehose/edgeml:log-stream:results")
    for key in ("edgeml/source/ab/sourcedir.tar.gz", "edgeml/data/cd/0.csv"):
        yield Use("TrainingRole", "s3:GetObject", f"{TRAINING}/{key}")
    yield Use("TrainingRole", "s3:PutObject", f"{TRAINING}/edgeml/jobs/j1/output/model.tar.gz")
    yield Use("TrainingRole", "s3:ListBucket", TRAINING)
    registry, _, repository = images.default(REGION).rpartition(":")[0].partition("/")
    for action in ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer"):
        yield Use("TrainingRole", f"ecr:{action}", f"arn:aws:ecr:{REGION}:{registry.split('.')[0]}:repository/{repository}")
    yield Use("TrainingRole", "ecr:GetAuthorizationToken", "*")
    yield Use("TrainingRole", "cloudwatch:PutMetricData", "*")


def of_topics() -> Iterator[Use]:
    """Uses over MQTT: by the device's components, its nucleus, and operators."""
    for topic in (topics.cloud_alerts(THING), topics.cloud_results(THING), topics.cloud_health(THING), topics.cloud_captures(THING)):
        yield Use("DevicePolicy", "iot:Publish", f"{IOT}:topic/{topic}")
    for subscribed in (topics.cloud_alerts_ack, topics.cloud_alerts, topics.cloud_results, topics.cloud_health, topics.cloud_captures):
        yield Use("DevicePolicy", "iot:Subscribe", f"{IOT}:topicfilter/{subscribed(THING)}")
        yield Use("DevicePolicy", "iot:Receive", f"{IOT}:topic/{subscribed(THING)}")
    yield Use("OperatorPolicy", "iot:Connect", f"{IOT}:client/edgeml-operator-ada")
    yield Use("OperatorPolicy", "iot:Subscribe", f"{IOT}:topicfilter/{topics.cloud_alerts('+')}")
    yield Use("OperatorPolicy", "iot:Receive", f"{IOT}:topic/{topics.cloud_alerts(THING)}")
    yield Use("OperatorPolicy", "iot:Publish", f"{IOT}:topic/{topics.cloud_alerts_ack(THING)}")
    for client in (THING, f"{THING}#2"):
        yield Use("NucleusPolicy", "iot:Connect", f"{IOT}:client/{client}")
    own = f"$aws/things/{THING}"
    for place in (f"{own}/jobs/get", f"{own}/shadow/name/AWSManagedGreengrassV2Deployment/get"):
        yield Use("NucleusPolicy", "iot:Publish", f"{IOT}:topic/{place}")
        yield Use("NucleusPolicy", "iot:Receive", f"{IOT}:topic/{place}/accepted")
        yield Use("NucleusPolicy", "iot:Subscribe", f"{IOT}:topicfilter/{place}/accepted")
    for place in (f"{own}/greengrass/health/json", f"{own}/greengrassv2/health/json"):
        yield Use("NucleusPolicy", "iot:Publish", f"{IOT}:topic/{place}")
    yield Use("NucleusPolicy", "iot:AssumeRoleWithCertificate", f"{IOT}:rolealias/edgeml-token-exchange")
    for call in ("GetComponentVersionArtifact", "ResolveComponentCandidates", "GetDeploymentConfiguration", "ListThingGroupsForCoreDevice"):
        yield Use("NucleusPolicy", f"greengrass:{call}", "*")


DENIED = [
    Use("TokenExchangeRole", "s3:GetObject", f"{ARTIFACTS}/claims/com.edgeml.Inference/0.1.0.json"),
    Use("TokenExchangeRole", "s3:PutObject", f"{ARTIFACTS}/com.edgeml.Inference/0.1.0/inference.zip"),
    Use("TokenExchangeRole", "s3:GetObject", f"{DATA}/results/2026/11/25/a.gz"),
    Use("DevicePolicy", "iot:Publish", f"{IOT}:topic/{topics.cloud_alerts('another')}"),
    Use("DevicePolicy", "iot:Publish", f"{IOT}:topic/{topics.cloud_alerts_ack(THING)}"),
    Use("DevicePolicy", "iot:Subscribe", f"{IOT}:topicfilter/edgeml/#"),
    Use("NucleusPolicy", "iot:Publish", f"{IOT}:topic/$aws/things/another/jobs/get"),
    *(
        Use("NucleusPolicy", f"iot:{action}", f"{IOT}:{kind}/$aws/things/{NEXT}/{place}")
        for action, kind in (("Publish", "topic"), ("Receive", "topic"), ("Subscribe", "topicfilter"))
        for place in ("jobs/get", "shadow/name/x/get", "greengrass/health/json", "greengrassv2/health/json")
    ),
    Use("NucleusPolicy", "iot:Connect", f"{IOT}:client/{NEXT}"),
    Use("DevicePolicy", "iot:Publish", f"{IOT}:topic/{topics.cloud_alerts(NEXT)}"),
    Use("DevicePolicy", "iot:Receive", f"{IOT}:topic/{topics.cloud_alerts_ack(NEXT)}"),
    Use("OperatorPolicy", "iot:Publish", f"{IOT}:topic/{topics.cloud_alerts(THING)}"),
    Use("RuleRole", "s3:PutObject", f"{DATA}/results/2026/11/25/a.gz"),
    Use("StreamRole", "s3:DeleteObject", f"{DATA}/results/2026/11/25/a.gz"),
    Use("StreamRole", "s3:PutObject", f"{ARTIFACTS}/com.edgeml.Inference/0.1.0/inference.zip"),
    Use("TrainingRole", "s3:GetObject", f"{ARTIFACTS}/com.edgeml.Inference/0.1.0/inference.zip"),
]
"""Uses that must be denied."""


@pytest.fixture(scope="module")
def resolved() -> Resolved:
    return Resolved()


def statements(resolved: Resolved) -> dict[tuple[str, str], dict[str, Any]]:
    """Every statement that allows something, by the logical name of its policy or role, and its Sid."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for name, role in resolved.of_type("AWS::IAM::Role").items():
        for policy in role["Policies"]:
            found |= {(name, each["Sid"]): each for each in policy["PolicyDocument"]["Statement"]}
    for name, policy in resolved.of_type("AWS::IoT::Policy").items():
        found |= {(name, each["Sid"]): each for each in policy["PolicyDocument"]["Statement"]}
    return found


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def grants(statement: dict[str, Any]) -> list[tuple[str, str]]:
    """Each action on each resource."""
    return [(action, resource) for action in listed(statement["Action"]) for resource in listed(statement["Resource"])]


def covers(resource: str, use: Use) -> bool:
    # In an IoT policy only the star is a wildcard; no ARN here contains brackets.
    return fnmatchcase(use.resource, resource.replace("${iot:Connection.Thing.ThingName}", THING))


def test_template_passes_cfn_lint() -> None:
    lint: list[str | Path] = [Path(sys.executable).with_name("cfn-lint"), TEMPLATE, "--regions", "us-east-1"]
    ran = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


def test_every_statement_names_its_resources(resolved: Resolved) -> None:
    found = statements(resolved)
    without_resource = {key for key, statement in found.items() if "*" in listed(statement["Resource"])}
    assert without_resource == set(WITHOUT_RESOURCE)
    assert all(statement["Effect"] == "Allow" for statement in found.values())
    assert not [action for statement in found.values() for action in listed(statement["Action"]) if "*" in action]


def test_every_use_is_allowed_and_every_permission_used(resolved: Resolved) -> None:
    found = statements(resolved)
    permissions = [(actor, sid, *grant) for (actor, sid), statement in found.items() for grant in grants(statement)]
    used = set()
    for use in uses():
        by = [each for each in permissions if each[0] == use.actor and each[2] == use.action and covers(each[3], use)]
        assert by, f"{use} is not allowed"
        used |= set(by)
    # A statement allows every combination of its actions and resources: each action and each resource must be used in one of them.
    unused_actions = {each[:3] for each in permissions} - {each[:3] for each in used}
    unused_resources = {(each[0], each[1], each[3]) for each in permissions} - {(each[0], each[1], each[3]) for each in used}
    assert (unused_actions, unused_resources) == (set(), set())


@pytest.mark.parametrize("use", DENIED, ids=lambda use: f"{use.actor} {use.action} {use.resource.split(':', 3)[-1]}")
def test_nothing_more_is_allowed(resolved: Resolved, use: Use) -> None:
    assert not [
        key
        for key, statement in statements(resolved).items()
        for action, resource in grants(statement)
        if key[0] == use.actor and action == use.action and covers(resource, use)
    ]


def test_thing_cannot_access_another_whose_name_has_its_own_as_prefix(resolved: Resolved) -> None:
    """After the name, a pattern may only continue with a topic level or with the `#` of a further connection."""
    found = [
        (actor, resource)
        for (actor, sid), statement in statements(resolved).items()
        for _, resource in grants(statement)
        if "ThingName}" in resource and not re.search(r"ThingName\}($|/|#\*$)", resource)
    ]
    assert found == []


def test_iot_policies_are_within_the_size_limit(resolved: Resolved) -> None:
    for name, policy in resolved.of_type("AWS::IoT::Policy").items():
        text = re.sub(r"\s", "", json.dumps(policy["PolicyDocument"]))
        assert len(text) <= 2048, f"{name} has {len(text)} characters"


def test_every_bucket_is_private_encrypted_versioned_and_tls_only(resolved: Resolved) -> None:
    policies = {each["Bucket"]: each["PolicyDocument"]["Statement"] for each in resolved.of_type("AWS::S3::BucketPolicy").values()}
    buckets = resolved.of_type("AWS::S3::Bucket")
    assert len(buckets) == 3
    for each in buckets.values():
        assert all(each["PublicAccessBlockConfiguration"].values()) and len(each["PublicAccessBlockConfiguration"]) == 4
        assert each["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert each["VersioningConfiguration"] == {"Status": "Enabled"}
        assert each["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
        tls = next(statement for statement in policies[each["BucketName"]] if statement["Sid"] == "TlsOnly")
        assert (tls["Effect"], tls["Principal"], tls["Action"]) == ("Deny", "*", "s3:*")
        assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_every_rule_has_an_error_action_and_every_stored_kind_a_retention(resolved: Resolved) -> None:
    rules = {each["RuleName"]: each["TopicRulePayload"] for each in resolved.of_type("AWS::IoT::TopicRule").values()}
    assert set(rules) == {f"edgeml_{kind}" for kind in ("alerts", *KINDS)}
    for name, rule in rules.items():
        kind = name.removeprefix("edgeml_")
        assert f"FROM 'edgeml/+/{kind}'" in rule["Sql"]
        assert rule["ErrorAction"]["S3"]["Key"] == f"errors/{kind}/${{newuuid()}}.json"
    expiring = [each for each in resolved.properties("DataBucket")["LifecycleConfiguration"]["Rules"] if "Prefix" in each]
    kept = {each["Prefix"]: each["ExpirationInDays"] for each in expiring}
    assert kept == {"results/": 365, "health/": 30, "captures/": 365, "errors/": 30}


def test_each_role_is_assumed_by_one_service(resolved: Resolved) -> None:
    trusted = {
        name: [each["Principal"] for each in role["AssumeRolePolicyDocument"]["Statement"]]
        for name, role in resolved.of_type("AWS::IAM::Role").items()
    }
    assert trusted == {
        "TokenExchangeRole": [{"Service": "credentials.iot.amazonaws.com"}],
        "RuleRole": [{"Service": "iot.amazonaws.com"}],
        "StreamRole": [{"Service": "firehose.amazonaws.com"}],
        "TrainingRole": [{"Service": "sagemaker.amazonaws.com"}],
    }
