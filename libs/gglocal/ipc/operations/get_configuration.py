"""GetConfiguration: `keyPath`, `componentName` (default: the caller)."""

from __future__ import annotations

from typing import Any

from gglocal.core.config_store import KeyNotFound
from gglocal.core.lite_json_limits import is_too_large
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
    if request.core.profile.small_json and is_too_large(value):
        raise IpcError("ServiceError", f"the value at /{'/'.join(key_path)} does not fit into one response")
    return {"componentName": component, "value": value}
