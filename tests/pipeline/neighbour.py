"""A component of the same core under another Unix user: its policy allows it to publish and receive everything, but
it does not have the device key.

neighbour.py        floods the topics named in its arguments until its standard input ends, and prints how many messages it sent
"""

from __future__ import annotations

import itertools
import os
import queue
import random
import sys
import threading
from collections.abc import Iterator

from awsiot.greengrasscoreipc import connect
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import BinaryMessage, PublishMessage

NAME = "com.example.Neighbour"
SOCKET = "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"
TOO_LONG = 7_400
"""Bytes of a payload for which Lite closes the connection."""


class Neighbour:
    """A client of its own.

    Args:
        environment: what `Nucleus.client_env` gave.

    Attributes:
        heard: (topic, payload) of what it recorded.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self._client = GreengrassCoreIPCClientV2(client=connect(ipc_socket=environment[SOCKET], authtoken=environment["SVCUID"]))
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()

    def say(self, topic: str, payload: bytes) -> None:
        self._client.publish_to_topic(topic=topic, publish_message=PublishMessage(binary_message=BinaryMessage(message=payload)))

    def record(self, topic: str) -> None:
        self._client.subscribe_to_topic(
            topic=topic,
            on_stream_event=lambda event: self.heard.put((topic, event.binary_message.message)),
            on_stream_error=lambda fault: False,
        )

    def repeat(self, stop: threading.Event) -> int:
        """Publish each recorded message again, unchanged, until stopped; returns the number."""
        said: set[bytes] = set()
        while not stop.is_set():
            try:
                topic, payload = self.heard.get(timeout=0.05)
            except queue.Empty:
                continue
            if payload not in said:
                said.add(payload)
                self.say(topic, payload)
        return len(said)

    def close(self) -> None:
        self._client.close()


def rubbish(topics: list[str]) -> Iterator[tuple[str, bytes]]:
    """Payloads of a flood: nothing, noise, a false signature line, the longest that passes, and sometimes more than a nucleus takes."""
    chance = random.Random(4)
    kinds = [b"", chance.randbytes(300), b"edgeml1 com.edgeml.Inference 1 " + b"0" * 32 + b"\n{}", b"\xff" * 7_000]
    for number in itertools.count():
        yield topics[number % len(topics)], b"\xff" * TOO_LONG if number % 300 == 299 else kinds[number // len(topics) % len(kinds)]


def main() -> None:
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    environment = dict(os.environ)
    neighbour, sent, cut = Neighbour(environment), 0, 0
    for topic, payload in rubbish(sys.argv[1:]):
        if stop.is_set():
            break
        try:
            neighbour.say(topic, payload)
            sent += 1
        except Exception:  # the nucleus has closed the connection; the SDK says so in many ways
            cut += 1
            neighbour = Neighbour(environment)
    sys.stdout.write(f"{sent} {cut}\n")
    sys.stdout.flush()
    os._exit(0)  # connections that were cut keep threads of the SDK


if __name__ == "__main__":
    main()
