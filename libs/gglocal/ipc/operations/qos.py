"""The `qos` argument of the IoT Core operations."""

from __future__ import annotations

from gglocal.ipc.request import Request


def qos_of(request: Request) -> int:
    """0 or 1, sent as text. Lite also accepts 2 and numbers, and treats a missing value as 0.

    Raises:
        IpcError: any other value.
    """
    value = request.arguments.get("qos")
    lenient = request.core.profile.lenient_qos
    if value is None and lenient:
        return 0
    if isinstance(value, str) and value in ("0", "1"):
        return int(value)
    if lenient and not isinstance(value, bool) and value in (0, 1, 2, "2"):
        return int(value)
    raise request.invalid(f"qos {value!r} is not valid")
