"""Constants of the event-stream RPC protocol."""

from __future__ import annotations

APPLICATION_MESSAGE = 0
APPLICATION_ERROR = 1
PING = 2
PING_RESPONSE = 3
CONNECT = 4
CONNECT_ACK = 5

CONNECTION_ACCEPTED = 1
TERMINATE_STREAM = 2
FLAGS_MASK = 3

TYPE, FLAGS, STREAM = ":message-type", ":message-flags", ":stream-id"
VERSION, CONTENT_TYPE = ":version", ":content-type"
OPERATION, MODEL_TYPE = "operation", "service-model-type"

PROTOCOL_VERSION = "0.1.0"
JSON = "application/json"
NAMESPACE = "aws.greengrass#"
