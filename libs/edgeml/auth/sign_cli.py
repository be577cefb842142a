"""Signs one message and writes it to standard output, for people and for programs that cannot sign themselves.

    python -m edgeml.auth.sign_cli TOPIC MESSAGE --key FILE [--as NAME]

MESSAGE is JSON, or `-` for standard input. The output must be published within seconds, and only once:

    greengrass-cli pubsub pub --topic TOPIC --message "$(python -m edgeml.auth.sign_cli TOPIC MESSAGE --key FILE)"
"""

from __future__ import annotations

import argparse
import getpass
import os
import re
import sys
from pathlib import Path

from edgeml.auth.device_key import read
from edgeml.auth.envelope import sign
from edgeml.auth.verifier import boottime_ns
from edgeml.errors import AuthenticationError, EdgemlError
from edgeml.messages import MAX_PAYLOAD, decode, topics
from edgeml.messages.signature_line import SENDER
from edgeml.timestamps import boot_id


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m edgeml.auth.sign_cli", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("topic", metavar="TOPIC", help=f"one of {', '.join(sorted(topics.SIGNED))}")
    parser.add_argument("message", metavar="MESSAGE", help="the message in JSON; - for standard input")
    parser.add_argument("--key", type=Path, required=True, help="the device key, such as WORK/com.edgeml.AlertDispatcher/messages.key")
    parser.add_argument("--as", dest="sender", default="", help="name of the sender (default: of the user and this process)")
    arguments = parser.parse_args(argv)
    payload = sys.stdin.buffer.read() if arguments.message == "-" else arguments.message.encode()
    try:
        sys.stdout.buffer.write(signed(arguments.topic, payload, arguments.key, arguments.sender or _default_sender()))
        sys.stdout.buffer.flush()
    except EdgemlError as fault:
        sys.stderr.write(f"edgeml.auth.sign_cli: {fault}\n")
        return 2
    return 0


def signed(topic: str, payload: bytes, key: Path, sender: str) -> bytes:
    """Validate the message and return it with its signature.

    Raises:
        EdgemlError: it is not a message of this suite, the topic is not signed, or the key cannot be read.
    """
    if topic not in topics.SIGNED:
        raise AuthenticationError(f"{topic!r} is not a signed topic; expected one of {', '.join(sorted(topics.SIGNED))}")
    if not SENDER.fullmatch(sender):
        raise AuthenticationError(f"{sender!r} is not a valid sender name; expected 1 to 64 letters, digits and . _ : @ -")
    decode(payload)
    if len(payload) > MAX_PAYLOAD:
        raise AuthenticationError(f"the message has {len(payload)} bytes, the maximum is {MAX_PAYLOAD}")
    return sign(read(key), topic, sender, boot_id(), boottime_ns(), payload)


def _default_sender() -> str:
    try:
        user = re.sub(r"[^A-Za-z0-9._-]", "_", getpass.getuser())[:40]
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}:{os.getpid()}"


if __name__ == "__main__":
    sys.exit(main())
