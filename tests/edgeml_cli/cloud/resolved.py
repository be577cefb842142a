"""The template with its intrinsic functions evaluated, as CloudFormation does for one account."""

from __future__ import annotations

import re
from typing import Any

from edgeml_cli.cloud import template

REGION, ACCOUNT, STACK = "us-east-1", "123456789012", "edgeml"
PSEUDO = {"AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::Partition": "aws", "AWS::StackName": STACK}


class Resolved:
    """Resources of the template, by logical name."""

    def __init__(self, **parameters: Any) -> None:
        self.document = template.read()
        self._values = {name: each.get("Default") for name, each in self.document["Parameters"].items()} | parameters
        self.resources: dict[str, dict[str, Any]] = self.document["Resources"]

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Properties by logical name."""
        return {name: self.properties(name) for name, each in self.resources.items() if each["Type"] == kind}

    def properties(self, name: str) -> dict[str, Any]:
        return dict(self.value(self.resources[name]["Properties"]))

    def value(self, raw: Any) -> Any:
        """Plain data."""
        if isinstance(raw, list):
            return [self.value(each) for each in raw]
        if not isinstance(raw, dict):
            return raw
        if list(raw) == ["Ref"]:
            return self.ref(raw["Ref"])
        if list(raw) == ["Fn::GetAtt"]:
            return self.attribute(*raw["Fn::GetAtt"])
        if list(raw) == ["Fn::Sub"]:
            return self._sub(raw["Fn::Sub"])
        return {key: self.value(each) for key, each in raw.items()}

    def ref(self, name: str) -> Any:
        if name in PSEUDO or name in self._values:
            return PSEUDO.get(name, self._values.get(name))
        type_name, properties = self.resources[name]["Type"], self.resources[name]["Properties"]
        name_property = {
            "AWS::S3::Bucket": "BucketName",
            "AWS::KinesisFirehose::DeliveryStream": "DeliveryStreamName",
            "AWS::Logs::LogGroup": "LogGroupName",
            "AWS::IAM::Role": "RoleName",
            "AWS::IoT::RoleAlias": "RoleAlias",
            "AWS::IoT::Policy": "PolicyName",
        }
        if type_name == "AWS::SNS::Topic":
            return f"arn:aws:sns:{REGION}:{ACCOUNT}:{self.value(properties['TopicName'])}"
        return self.value(properties.get(name_property[type_name], name))

    def attribute(self, name: str, attribute: str) -> str:
        kind = self.resources[name]["Type"]
        assert attribute in ("Arn", "RoleAliasArn")
        prefix = {
            "AWS::S3::Bucket": "arn:aws:s3:::",
            "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/",
            "AWS::IoT::RoleAlias": f"arn:aws:iot:{REGION}:{ACCOUNT}:rolealias/",
        }[kind]
        return f"{prefix}{self.ref(name)}"

    def _sub(self, text: str) -> str:
        def one(found: re.Match[str]) -> str:
            if found[1].startswith("!"):
                return f"${{{found[1][1:]}}}"
            name, _, attribute = found[1].partition(".")
            return str(self.attribute(name, attribute) if attribute else self.ref(name))

        return re.sub(r"\$\{([^}]+)\}", one, text)
