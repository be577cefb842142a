"""GetConfiguration: `keyPath`, `componentName` (default: the caller's). Needs no policy."""

from __future__ import annotations

from typing import Any

from gglocal.config import KeyNotFound
from gglocal.ipc.errors import IpcError
from gglocal.ipc.request import Request


def handle(request: Request) -> dict[str, Any]:
    key_path = request.key_path()
    component = request.optional("componentName", str) or request.component
    try:
        value = request.core.config.get(component, key_path)
    except KeyNotFound:
        raise IpcError("ResourceNotFoundError", "Key not found.") from None
    if not isinstance(value, dict):
        value = {key_path[-1]: value}
    return {"componentName": component, "value": value}
