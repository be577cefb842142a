"""The environment of programs that a component starts."""

from __future__ import annotations

from collections.abc import Mapping

CREDENTIALS = frozenset(
    {
        "SVCUID",
        "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH",
        "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    }
)
"""Variables with which a process can act as this component, towards the nucleus or AWS."""


def without_credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the component's credentials."""
    return {name: value for name, value in environment.items() if name not in CREDENTIALS}
