"""SubscribeToValidateConfigurationUpdates: an event before a deployment changes the caller's configuration."""

from __future__ import annotations

import json
from typing import Any

from gglocal.ipc.request import Request


def handle(request: Request) -> None:
    request.check_subscription_limit()

    def receive(event: dict[str, Any]) -> None:
        request.send_event("ValidateConfigurationUpdateEvents", json.dumps(event).encode())

    request.keep_open(request.core.config_validation.subscribe(request.component, receive))
