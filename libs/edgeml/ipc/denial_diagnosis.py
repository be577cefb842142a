"""Looks up why the nucleus refuses a call, and logs it."""

from __future__ import annotations

import logging
from typing import Any

from awsiot.greengrasscoreipc import model

from edgeml.ipc import sdk_adapter
from edgeml.ipc.call_errors import name, sentence
from edgeml.ipc.configuration_reader import ConfigurationReader
from edgeml.ipc.connection import Connection

log = logging.getLogger("edgeml.ipc.bus")


class DenialDiagnosis:
    """Used by the thread of the bus.

    Args:
        reader: knows whether this component ever had a configuration.
    """

    def __init__(self, connection: Connection, reader: ConfigurationReader) -> None:
        self._connection, self._reader = connection, reader
        self._leaving = False  # it was said that this component is being removed

    def log(self, level: int, operation: str, topic: str, fault: Exception, suffix: str) -> None:
        """A sentence and its end; no error where the nucleus takes the configuration away before it ends a component."""
        if not log.isEnabledFor(level):
            return
        access = None
        if isinstance(fault, model.UnauthorizedError):
            access = self._own(["accessControl"])
            if access == {} and self._reader.seen and self._own([]) == {}:
                if not self._leaving:
                    log.info("the configuration of this component is gone, so nothing is permitted any more: it is being removed")
                self._leaving, level = True, logging.DEBUG
        log.log(level, "%s%s", sentence(operation, topic, fault, access), suffix)

    def _own(self, key_path: list[str]) -> Any:
        """A part of the own configuration; empty: it is not there; None: it cannot be read."""
        client = self._connection.client
        try:
            return None if client is None else sdk_adapter.configuration(client, key_path, sdk_adapter.CLOUD_TIMEOUT_S)
        except model.ResourceNotFoundError:
            return {}
        except Exception as fault:
            log.debug("%s of the configuration cannot be read (%s)", key_path, name(fault))
            return None
