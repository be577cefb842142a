"""Which IoT Core: `recorder`, `recorder:FILE` or `mqtt://host:port`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from gglocal.iot_core.base import IoTCore
from gglocal.iot_core.recorder import Recorder


def _recorder(url: str, client_id: str, record: Path | None) -> IoTCore:
    named = url.partition(":")[2]
    return Recorder(Path(named) if named else record)


def _mqtt(url: str, client_id: str, record: Path | None) -> IoTCore:
    from gglocal.iot_core.mqtt_broker import MqttBroker

    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 1883
    except ValueError:
        host, port = None, 0
    if not host:
        raise ValueError(f"{url!r} names no broker; write mqtt://host:port")
    return MqttBroker(host, port, client_id=client_id, username=parts.username, password=parts.password)


BACKENDS: dict[str, Callable[[str, str, Path | None], IoTCore]] = {"recorder": _recorder, "mqtt": _mqtt}


def open_iot_core(url: str, *, client_id: str, record: Path | None = None) -> IoTCore:
    """The back-end that `url` names.

    Args:
        client_id: for a broker: the thing's name.
        record: where `recorder` writes when the url names no file.

    Raises:
        ValueError: no such back-end, or no host; one sentence.
    """
    scheme = url.partition(":")[0]
    if scheme not in BACKENDS:
        raise ValueError(f"unknown IoT Core {url!r}; known are recorder, recorder:FILE and mqtt://host:port")
    return BACKENDS[scheme](url, client_id, record)
