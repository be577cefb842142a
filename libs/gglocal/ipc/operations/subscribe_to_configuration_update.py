"""SubscribeToConfigurationUpdate: `keyPath`, `componentName` (default: the caller); an event for each changed leaf."""

from __future__ import annotations

import json

from gglocal.core.config_store import KeyNotFound
from gglocal.ipc.errors import IpcError
from gglocal.ipc.request import Request


def handle(request: Request) -> None:
    key_path = request.key_path()
    component = request.optional("componentName", str) or request.component
    request.check_subscription_limit()

    def changed(owner: str, leaf: list[str]) -> None:
        event = {"configurationUpdateEvent": {"componentName": owner, "keyPath": leaf}}
        request.send_event("ConfigurationUpdateEvents", json.dumps(event).encode())

    try:
        request.keep_open(request.core.config.subscribe(component, key_path, changed))
    except KeyNotFound:
        raise IpcError("ResourceNotFoundError", "Key not found") from None
