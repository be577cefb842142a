"""Reports every failure as one sentence: what happened, where, and the remedy."""

from __future__ import annotations

import sys
from collections.abc import Callable

from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)

from edgeml.errors import EdgemlError, OptionsError
from edgeml_cli.build.package import BuildError
from gglocal.errors import GglocalError

LOG_IN_HINT = "log in with `aws configure` or `aws sso login`, or set AWS_PROFILE"
STALE_CREDENTIALS = {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId"}
ACCESS_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}
NOT_FOUND = {"ResourceNotFoundException", "NoSuchBucket", "NoSuchKey", "NoSuchEntity", "404"}


class FleetError(Exception):
    """A failure with one sentence for the user."""


def code(fault: ClientError) -> str:
    """The service's error code."""
    return str(fault.response.get("Error", {}).get("Code", ""))


def reason(fault: ClientError) -> str:
    """The service's error message on one line."""
    error = fault.response.get("Error", {})
    return " ".join(str(error.get("Message") or error.get("message") or code(fault) or "no reason given").split())


def aws_error_text(fault: Exception) -> str:
    """The sentence for an error of boto3 that no caller handled."""
    if isinstance(fault, ClientError):
        if code(fault) in STALE_CREDENTIALS:
            return f"AWS rejected the credentials as expired or unknown ({reason(fault)}); {LOG_IN_HINT}"
        if code(fault) in ACCESS_DENIED:
            return f"AWS denied {fault.operation_name}: {reason(fault)}; ask your administrator for this permission"
        return f"AWS rejected {fault.operation_name}: {reason(fault)}"
    if isinstance(fault, NoCredentialsError | PartialCredentialsError | TokenRetrievalError):
        return f"no AWS credentials found ({str(fault).strip('.')}); {LOG_IN_HINT}"
    if isinstance(fault, ProfileNotFound):
        return f"{str(fault).strip('.')}; set AWS_PROFILE to another profile, or create this one with `aws configure`"
    if isinstance(fault, EndpointConnectionError):
        return f"{str(fault).strip('.')}; check that the service exists in this region and that this machine can reach it"
    return " ".join(str(fault).split())


def report_errors(command: str, work: Callable[[], int], begins: bool = True) -> int:
    """Run a command; report a failure as one sentence on standard error.

    Args:
        begins: the command starts an operation in AWS that an interruption does not stop.

    Returns:
        The command's exit code, or 1 after a failure.
    """
    try:
        return work()
    except OptionsError as fault:
        text = "; ".join(fault.faults)
    except (FleetError, BuildError, EdgemlError, GglocalError) as fault:
        text = str(fault)
    except (ClientError, BotoCoreError, Boto3Error) as fault:
        text = aws_error_text(fault)
    except KeyboardInterrupt:
        if begins:
            print(f"{command}: operations already started continue in AWS; run the same command again to resume", file=sys.stderr)
        raise
    print(f"{command}: {text}", file=sys.stderr)
    return 1
