"""UpdateConfiguration: `keyPath`, `valueToMerge`, `timestamp` (seconds). Changes the caller's own configuration."""

from __future__ import annotations

import json
import math
from typing import Any

from gglocal.core.config_store import ConfigConflict
from gglocal.ipc.errors import IpcError
from gglocal.ipc.request import Request

INVALID = "InvalidArgumentsError"


def handle(request: Request) -> None:
    key_path = request.key_path(INVALID)
    if "valueToMerge" not in request.arguments:
        raise request.invalid("valueToMerge is required", INVALID)
    value = request.arguments["valueToMerge"]
    timestamp = request.arguments.get("timestamp")
    # Lite decodes a JSON number without a fraction as an integer, and rejects integers here.
    kinds = (float,) if request.core.profile.float_timestamps else (float, int)
    if not isinstance(timestamp, kinds) or isinstance(timestamp, bool) or not math.isfinite(timestamp):
        raise request.invalid("timestamp must be a number of seconds with a fraction", INVALID)
    changed = key_path[:1] or (list(value) if isinstance(value, dict) else [])
    if "accessControl" in changed:
        raise IpcError(INVALID, "Config update is not allowed for following field [accessControl]")
    _check_leaves(value, request.core.profile.max_leaf)
    try:
        stale = request.core.config.merge(request.component, value, int(timestamp * 1000), key_path)
    except ConfigConflict as error:
        raise IpcError("ServiceError", str(error)) from None
    if stale and request.core.profile.rejects_stale:
        raise IpcError("FailedUpdateConditionCheckError", "Proposed timestamp is older than the config's latest modified timestamp")


def _check_leaves(value: Any, limit: int) -> None:
    if isinstance(value, dict):
        for item in value.values():
            _check_leaves(item, limit)
    elif len(json.dumps(value)) > limit:
        raise IpcError("ServiceError", f"a value has more than {limit} bytes as JSON")
