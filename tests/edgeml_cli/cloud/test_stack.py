"""`edgeml cloud deploy` and `destroy` against moto's CloudFormation; the services themselves confirm the created resources."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.stub import Stubber
from moto.iot.models import FakePolicy, FakeRoleAlias

from edgeml_cli.cloud import stack
from edgeml_cli.fleet.aws_account import Account
from edgeml_cli.fleet.errors import FleetError
from edgeml_cli.fleet.health_reports import HealthReports
from tests.edgeml_cli.cloud.resolved import ACCOUNT, REGION, Resolved
from tests.edgeml_cli.fleet.conftest import BUCKET, Cloud

Said = Callable[[], str]
BUCKETS = [BUCKET, f"edgeml-data-{REGION}-{ACCOUNT}", f"edgeml-training-{REGION}-{ACCOUNT}"]

SKIPPED = {
    "AWS::S3::BucketPolicy",
    "AWS::IoT::TopicRule",
    "AWS::KinesisFirehose::DeliveryStream",
    "AWS::Logs::LogStream",
    "AWS::SNS::TopicPolicy",
    "AWS::SNS::Subscription",
}
"""Resource types that moto's CloudFormation skips. The test sends each of these to its service directly, and cfn-lint checks all.
Of a bucket, moto's CloudFormation creates only the name and the encryption."""


@pytest.fixture
def account(cloud: Cloud) -> Cloud:
    """The account without the artifact bucket: the stack creates it."""
    cloud.client("s3").delete_bucket(Bucket=BUCKET)
    return cloud


@pytest.fixture
def deployed(account: Cloud) -> Cloud:
    """The account with the stack."""
    assert stack.main(["deploy", "--alert-email", "ops@example.com"]) == 0
    return account


def test_services_have_the_created_resources_and_accept_the_skipped_ones(deployed: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved = Resolved(AlertEmail="ops@example.com")
    client = deployed.client("cloudformation")
    there = {each["LogicalResourceId"]: each for each in client.list_stack_resources(StackName="edgeml")["StackResourceSummaries"]}
    assert {each["Type"] for name, each in resolved.resources.items() if name not in there} == SKIPPED
    s3, iam, iot = deployed.client("s3"), deployed.client("iam"), deployed.client("iot")
    for bucket in BUCKETS:
        (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    role = there["TokenExchangeRole"]["PhysicalResourceId"]
    granted = iam.get_role_policy(RoleName=role, PolicyName="device")["PolicyDocument"]
    assert as_data(granted) == resolved.properties("TokenExchangeRole")["Policies"][0]["PolicyDocument"]
    assert iot.describe_role_alias(roleAlias="edgeml-token-exchange")["roleAliasDescription"]["roleArn"].endswith(f"role/{role}")
    for name, policy in resolved.of_type("AWS::IoT::Policy").items():
        document = iot.get_policy(policyName=policy["PolicyName"])["policyDocument"]
        assert as_data(document) == policy["PolicyDocument"], name
    assert [each["TopicArn"] for each in deployed.client("sns").list_topics()["Topics"]] == [resolved.ref("AlertsTopic")]

    assert_services_accept_skipped_resources(deployed, resolved, monkeypatch)
    assert Account(REGION).bucket(None, "edgeml-components") == BUCKET, "edgeml fleet publish uses another bucket"
    assert HealthReports(Account(REGION), None).name == resolved.ref("DataBucket"), "edgeml fleet status reads another bucket"


def assert_services_accept_skipped_resources(deployed: Cloud, resolved: Resolved, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", deployed.moto)
    sns, iot, s3, firehose, logs = (deployed.client(name) for name in ("sns", "iot", "s3", "firehose", "logs"))
    for each in resolved.of_type("AWS::S3::Bucket").values():
        name = each["BucketName"]
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=each["VersioningConfiguration"])
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=each["PublicAccessBlockConfiguration"])
        s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls=each["OwnershipControls"])
        rules = [lifecycle(rule) for rule in each["LifecycleConfiguration"]["Rules"]]
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})
    for each in resolved.of_type("AWS::S3::BucketPolicy").values():
        s3.put_bucket_policy(Bucket=each["Bucket"], Policy=json.dumps(each["PolicyDocument"]))
    for each in resolved.of_type("AWS::Logs::LogStream").values():
        logs.create_log_stream(logGroupName=each["LogGroupName"], logStreamName=each["LogStreamName"])
    for each in resolved.of_type("AWS::KinesisFirehose::DeliveryStream").values():
        arn = firehose.create_delivery_stream(**each)["DeliveryStreamARN"]
        assert arn == f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/{each['DeliveryStreamName']}"
    for each in resolved.of_type("AWS::IoT::TopicRule").values():
        iot.create_topic_rule(ruleName=each["RuleName"], topicRulePayload=as_call(each["TopicRulePayload"]))
        assert iot.get_topic_rule(ruleName=each["RuleName"])["rule"]["sql"] == each["TopicRulePayload"]["Sql"]
    (topic,) = resolved.of_type("AWS::SNS::TopicPolicy").values()
    sns.set_topic_attributes(TopicArn=topic["Topics"][0], AttributeName="Policy", AttributeValue=json.dumps(topic["PolicyDocument"]))
    (mail,) = resolved.of_type("AWS::SNS::Subscription").values()
    assert sns.subscribe(TopicArn=mail["TopicArn"], Protocol=mail["Protocol"], Endpoint=mail["Endpoint"])["SubscriptionArn"]


def as_data(document: Any) -> Any:
    """A policy document. For a policy created by a stack, moto returns the repr of a dict."""
    return ast.literal_eval(document) if isinstance(document, str) else document


def lifecycle(rule: dict[str, Any]) -> dict[str, Any]:
    """A lifecycle rule of the template in the spelling of the S3 API."""
    kept = {key: value for key, value in rule.items() if key in ("Status", "AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration")}
    expiry = {"Expiration": {"Days": int(rule["ExpirationInDays"])}} if "ExpirationInDays" in rule else {}
    return {"ID": rule["Id"], "Filter": {"Prefix": rule.get("Prefix", "")}, **kept, **expiry}


def as_call(value: Any) -> Any:
    """A value of the template in the spelling of the IoT API: `RoleArn` becomes `roleArn`, `S3` becomes `s3`."""
    if isinstance(value, dict):
        return {key[0].lower() + key[1:]: as_call(each) for key, each in value.items()}
    return [as_call(each) for each in value] if isinstance(value, list) else value


def test_second_deploy_changes_given_parameters_and_destroy_deletes_data_only_on_request(
    deployed: Cloud, said: Said, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    capsys.readouterr()
    assert stack.main(["deploy"]) == 0
    shown = capsys.readouterr().out
    assert f"ArtifactBucket: {BUCKET}" in shown and "TrainingRole: arn:aws:iam::" in shown
    assert stack.main(["deploy", "--results-days", "30"]) == 0
    found = deployed.client("cloudformation").describe_stacks(StackName="edgeml")["Stacks"][0]["Parameters"]
    values = {each["ParameterKey"]: each["ParameterValue"] for each in found}
    assert (values["ResultsDays"], values["AlertEmail"]) == ("30", "ops@example.com")
    assert_destroy_deletes_data_only_on_request(deployed, said, capsys, monkeypatch)


def assert_destroy_deletes_data_only_on_request(
    deployed: Cloud, said: Said, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # moto deletes IoT resources under the unevaluated name, including `Fn::Sub`.
    for kind in (FakePolicy, FakeRoleAlias):
        monkeypatch.setattr(kind, "delete_from_cloudformation_json", lambda *_: None)
    s3 = deployed.client("s3")
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"old", b"new"):
        s3.put_object(Bucket=BUCKET, Key="com.edgeml.Inference/0.1.0/inference.zip", Body=body)
    s3.delete_object(Bucket=BUCKET, Key="com.edgeml.Inference/0.1.0/inference.zip")
    assert stack.main(["destroy"]) == 0
    shown = capsys.readouterr().out
    assert f"would delete the stack edgeml and the data in {BUCKET} (3 object versions); confirm with --yes" in shown
    assert stack.main(["destroy", "--yes"]) == 1
    assert "copy the data that you need, then add --with-data; nothing was deleted" in said()
    assert len(s3.list_buckets()["Buckets"]) == 3
    assert stack.main(["destroy", "--yes", "--with-data"]) == 0
    assert s3.list_buckets()["Buckets"] == []
    assert stack.main(["destroy", "--yes"]) == 0
    assert "there is no stack edgeml in us-east-1" in capsys.readouterr().out


def test_missing_credentials_are_reported_in_one_sentence(account: Cloud, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert stack.main(["deploy"]) == 1
    assert said().startswith("edgeml cloud deploy: no AWS credentials found")


def test_existing_bucket_prevents_creation(account: Cloud, said: Said) -> None:
    account.client("s3").create_bucket(Bucket=BUCKET)
    assert stack.main(["deploy"]) == 1
    assert said().startswith("edgeml cloud deploy: AWS rejected CreateStack: The requested bucket name is not available.")


def test_failed_stack_reports_resource_and_reason(account: Cloud) -> None:
    """moto cannot fail halfway, so these are AWS's responses, validated by botocore's model."""
    client = account.client("cloudformation")
    identity, at = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/edgeml/1", datetime(2026, 11, 25, tzinfo=timezone.utc)
    about = {"StackId": identity, "StackName": "edgeml", "CreationTime": at}
    event = {"StackId": identity, "StackName": "edgeml", "Timestamp": at}
    failed = {
        **event,
        "EventId": "1",
        "LogicalResourceId": "DataBucket",
        "ResourceStatus": "CREATE_FAILED",
        "ResourceStatusReason": "exists already",
    }
    missing = {"service_error_code": "ValidationError", "service_message": "Stack with id edgeml does not exist"}
    progress: list[str] = []
    with Stubber(client) as answers:
        answers.add_client_error("describe_stacks", **missing)
        answers.add_response("create_stack", {"StackId": identity})
        for state in ("CREATE_IN_PROGRESS", "DELETE_COMPLETE"):
            answers.add_response("describe_stacks", {"Stacks": [{**about, "StackStatus": state}]})
            answers.add_response("describe_stack_events", {"StackEvents": [failed]})
        made = stack.Stack(cast(Account, SimpleNamespace(client=lambda _: client)), "edgeml", progress.append, lambda _: None)
        with pytest.raises(FleetError, match="the stack edgeml is DELETE_COMPLETE: DataBucket: exists already"):
            made.create_or_update(stack.template.TEMPLATE, {})
    assert progress == ["creating the stack edgeml", "  DataBucket: CREATE_FAILED: exists already"]
