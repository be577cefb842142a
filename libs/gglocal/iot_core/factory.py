"""The table of backends: `recorder`, `recorder:FILE` and `mqtt://host:port`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from gglocal.iot_core.base import IoTCore
from gglocal.iot_core.recorder import Recorder


def _recorder(url: str, client_id: str, record: Path | None) -> IoTCore:
    file = url.partition(":")[2]
    return Recorder(Path(file) if file else record)


def _mqtt(url: str, client_id: str, record: Path | None) -> IoTCore:
    from gglocal.iot_core.mqtt_broker import MqttBroker

    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 1883
    except ValueError:
        host, port = None, 0
    if not host:
        raise ValueError(f"{url!r} has no host; write mqtt://host:port")
    return MqttBroker(host, port, client_id=client_id, username=parts.username, password=parts.password)


BACKENDS: dict[str, Callable[[str, str, Path | None], IoTCore]] = {"recorder": _recorder, "mqtt": _mqtt}


def open_iot_core(url: str, *, client_id: str, record: Path | None = None) -> IoTCore:
    """Create the backend for a URL.

    Args:
        client_id: for a broker, the thing name.
        record: the file of `recorder`, if the URL names none.

    Raises:
        ValueError: the backend is unknown, or the URL has no host.
    """
    scheme = url.partition(":")[0]
    if scheme not in BACKENDS:
        raise ValueError(f"unknown IoT Core backend {url!r}; expected recorder, recorder:FILE or mqtt://host:port")
    return BACKENDS[scheme](url, client_id, record)
