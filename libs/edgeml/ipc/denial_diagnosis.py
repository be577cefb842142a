"""Logs failed calls, and looks up why the nucleus denies one."""

from __future__ import annotations

import logging
from typing import Any

from awsiot.greengrasscoreipc import model

from edgeml.ipc import sdk_adapter
from edgeml.ipc.call_errors import describe, name
from edgeml.ipc.configuration_reader import ConfigurationReader
from edgeml.ipc.connection import Connection

log = logging.getLogger("edgeml.ipc.bus")


class DenialDiagnosis:
    """Used by the component's thread.

    Args:
        reader: knows whether this component ever had a configuration.
    """

    def __init__(self, connection: Connection, reader: ConfigurationReader) -> None:
        self._connection, self._reader = connection, reader
        self._removal_logged = False

    def log(self, level: int, operation: str, topic: str, fault: Exception, suffix: str = "") -> None:
        """Log a failed call with its cause.

        It is no error while the component shuts down, nor after the nucleus has removed the component's configuration, which it does
        before it stops a component that it removes.
        """
        if self._connection.shutting_down:
            level = logging.DEBUG
        if not log.isEnabledFor(level):
            return
        access = None
        if isinstance(fault, model.UnauthorizedError):
            access = self._configuration(["accessControl"])
            if access == {} and self._reader.seen and self._configuration([]) == {}:
                if not self._removal_logged:
                    log.info("the configuration of this component is gone, so nothing is permitted any more: it is being removed")
                self._removal_logged, level = True, logging.DEBUG
        log.log(level, "%s%s", describe(operation, topic, fault, access), suffix)

    def _configuration(self, key_path: list[str]) -> Any:
        """A part of the component's configuration; empty if it is missing, None if it cannot be read."""
        client = self._connection.client
        try:
            return None if client is None else sdk_adapter.configuration(client, key_path, sdk_adapter.CLOUD_TIMEOUT_S)
        except model.ResourceNotFoundError:
            return {}
        except Exception as fault:
            log.debug("%s of the configuration cannot be read (%s)", key_path, name(fault))
            return None
