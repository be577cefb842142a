"""The environment of a component's processes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gglocal.profile import Profile

_INHERITED = {
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
}
_INHERITED_LOWER = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
_INHERITED_PREFIXES = ("LC_", "PIP_", "UV_", "NPM_CONFIG_", "npm_config_")


def of_user(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The part of the developer's environment that components inherit: path, home, locale, proxies and package indexes."""
    environ = os.environ if environ is None else environ
    return {
        key: value
        for key, value in environ.items()
        if key in _INHERITED or key.lower() in _INHERITED_LOWER or key.startswith(_INHERITED_PREFIXES)
    }


def of_nucleus(profile: Profile, *, svcuid: str, ipc_socket: Path, thing_name: str, region: str) -> dict[str, str]:
    """The variables that a nucleus sets for a component."""
    variables = {
        **of_token(svcuid),
        "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(ipc_socket),
        "AWS_IOT_THING_NAME": thing_name,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "GGC_VERSION": profile.version,
    }
    return {**variables, "GG_ROOT_CA_PATH": ""} if profile.strict_recipes else variables


def of_token(svcuid: str) -> dict[str, str]:
    """The variables that contain the component's token."""
    return {"SVCUID": svcuid, "AWS_CONTAINER_AUTHORIZATION_TOKEN": svcuid}
