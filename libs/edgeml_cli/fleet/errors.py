"""Whatever goes wrong is one sentence: what, where, the remedy."""

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

LOG_IN = "log in with `aws configure` or `aws sso login`, or set AWS_PROFILE"
STALE = {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId"}
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}
MISSING = {"ResourceNotFoundException", "NoSuchBucket", "NoSuchKey", "NoSuchEntity", "404"}


class FleetError(Exception):
    """One sentence for the person at the command line."""


def code(fault: ClientError) -> str:
    """The service's name for what went wrong."""
    return str(fault.response.get("Error", {}).get("Code", ""))


def reason(fault: ClientError) -> str:
    """The service's words for it, on one line."""
    error = fault.response.get("Error", {})
    return " ".join(str(error.get("Message") or error.get("message") or code(fault) or "no reason given").split())


def of_aws(fault: Exception) -> str:
    """The sentence for a fault that boto3 raised and nobody expected."""
    if isinstance(fault, ClientError):
        if code(fault) in STALE:
            return f"AWS does not know these credentials any more ({reason(fault)}); {LOG_IN}"
        if code(fault) in DENIED:
            return f"AWS denies {fault.operation_name}: {reason(fault)}; ask for that permission"
        return f"AWS refuses {fault.operation_name}: {reason(fault)}"
    if isinstance(fault, NoCredentialsError | PartialCredentialsError | TokenRetrievalError):
        return f"no AWS credentials are found ({str(fault).strip('.')}); {LOG_IN}"
    if isinstance(fault, ProfileNotFound):
        return f"{str(fault).strip('.')}; name another with AWS_PROFILE, or make it with `aws configure`"
    if isinstance(fault, EndpointConnectionError):
        return f"{str(fault).strip('.')}; see whether the service exists in that region, and whether this machine has a way there"
    return " ".join(str(fault).split())


def told(command: str, work: Callable[[], int], begins: bool = True) -> int:
    """Do the work of a command; what goes wrong is said in one sentence on standard error, and the exit code is 1.

    Args:
        begins: it begins something in AWS, which an interruption does not end.
    """
    try:
        return work()
    except OptionsError as fault:
        text = "; ".join(fault.faults)
    except (FleetError, BuildError, EdgemlError, GglocalError) as fault:
        text = str(fault)
    except (ClientError, BotoCoreError, Boto3Error) as fault:
        text = of_aws(fault)
    except KeyboardInterrupt:
        if begins:
            print(f"{command}: what was begun goes on in AWS, and the same command takes it up again", file=sys.stderr)
        raise
    print(f"{command}: {text}", file=sys.stderr)
    return 1
