"""SubscribeToComponentUpdates: an event before and one after each deployment that touches what runs. Classic only; needs no policy."""

from __future__ import annotations

import json
from typing import Any

from gglocal.ipc.request import Request


def handle(request: Request) -> None:
    request.check_room()

    def receive(event: dict[str, Any]) -> None:
        request.send_event("ComponentUpdatePolicyEvents", json.dumps(event).encode())

    request.hold(request.core.updates.subscribe(request.component, receive))
