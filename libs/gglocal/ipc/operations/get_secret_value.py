"""GetSecretValue: `secretId`, a name or an ARN. A secret is a file in the root folder's `secrets`; its name is the
percent-encoded secret ID."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from gglocal.ipc.errors import IpcError
from gglocal.ipc.request import Request


def handle(request: Request) -> dict[str, Any]:
    name = request.argument("secretId", str)
    request.authorize(name)
    try:
        text = (Path(request.core.root_path) / "secrets" / quote(name, safe="")).read_text(encoding="utf-8")
    except OSError:
        raise IpcError("ResourceNotFoundError", f"Secret not found {name}") from None
    return {"secretId": name, "versionId": "1", "versionStage": ["AWSCURRENT"], "secretValue": {"secretString": text}}
