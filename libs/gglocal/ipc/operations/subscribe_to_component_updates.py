"""SubscribeToComponentUpdates: an event before and after each deployment that restarts components."""

from __future__ import annotations

import json
from typing import Any

from gglocal.ipc.request import Request


def handle(request: Request) -> None:
    request.check_subscription_limit()

    def receive(event: dict[str, Any]) -> None:
        request.send_event("ComponentUpdatePolicyEvents", json.dumps(event).encode())

    request.keep_open(request.core.update_deferral.subscribe(request.component, receive))
