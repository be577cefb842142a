"""Measures what a seal costs; ends with one line of JSON.

A local nucleus in a process of its own, and here one component that publishes to a topic and hears itself, with the SDK's own client: the
time from publish to receive with and without seals, in turn, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from edgeml.auth.device_key import MessageAuthOptions
from edgeml.auth.verifier import MessageVerifier
from edgeml.ipc.bus import IpcBus
from edgeml.messages import MAX_PAYLOAD, topics
from gglocal.api.nucleus import Nucleus
from gglocal.cli.arguments import whole

NAME = "com.example.Measure"
ACCESS = {"aws.greengrass.ipc.pubsub": {"measure": {"operations": ["*"], "resources": [topics.RESULTS]}}}
SIZES = (200, 1024, MAX_PAYLOAD)
LATENCY_SIZE = 1024
ROUNDS = 10


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="edgeml dev auth-benchmark", description="Measure the overhead of message authentication.")
    made.add_argument("--messages", type=whole(1, 10**6), default=2000, help="how many of each kind (default 2000)")
    made.add_argument("--serve", metavar="DIR", help=argparse.SUPPRESS)
    return made


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = parser().parse_args(argv)
    if options.serve:
        return _serve(Path(options.serve))
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="seals-") as folder:
        costs = {size: _cost(Path(folder), size, options.messages) for size in SIZES}
        plain, sealed = _latency(Path(folder), options.messages)
    for size, (seal_us, open_us) in costs.items():
        print(f"{size:5} bytes: {seal_us:6.1f} us to seal, {open_us:6.1f} us to open")
    print(f"{LATENCY_SIZE:5} bytes from publish to receive, p50: {plain:.0f} us without a seal, {sealed:.0f} us with one")
    print(
        json.dumps(
            {
                "seal_us": {str(size): round(cost[0], 1) for size, cost in costs.items()},
                "open_us": {str(size): round(cost[1], 1) for size, cost in costs.items()},
                "p50_us_plain": round(plain),
                "p50_us_sealed": round(sealed),
            }
        )
    )
    return 0


def _guard(work: Path) -> MessageVerifier:
    guard = MessageVerifier(NAME, work)
    guard.configure(MessageAuthOptions())
    return guard


def _cost(work: Path, size: int, n: int) -> tuple[float, float]:
    """Median microseconds to seal and to open a message of `size` bytes."""
    guard, payload = _guard(work), bytes(size)

    def timed(call: Callable[[bytes], bytes | None], given: bytes) -> tuple[int, bytes]:
        begun = time.perf_counter_ns()
        made = call(given)
        took = time.perf_counter_ns() - begun
        assert made is not None
        return took, made

    sealing, opening = [], []
    for _ in range(n):
        took, sealed = timed(lambda given: guard.sign(topics.RESULTS, given), payload)
        sealing.append(took)
        took, opened = timed(lambda given: (guard.verify(topics.RESULTS, given) or (None,))[0], sealed)
        opening.append(took)
        assert opened == payload
    return statistics.median(sealing) / 1000, statistics.median(opening) / 1000


def _latency(folder: Path, n: int) -> tuple[float, float]:
    """Median microseconds from publish to receive, without and with seals."""
    command = [sys.executable, "-m", "edgeml_cli.verify.auth_benchmark", "--serve", str(folder / "root")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            os.environ.update(json.loads(server.stdout.readline()))
            bus, guard = IpcBus(NAME), _guard(folder)
            bus.open()
            bus.subscribe(topics.RESULTS)
            took: dict[bool, list[float]] = {False: [], True: []}
            for number in range(2 * ROUNDS):
                sealed = bool(number % 2)
                bus.verifier = guard if sealed else None
                took[sealed] += [_round_trip(bus, bytes(LATENCY_SIZE)) for _ in range(n // ROUNDS)][n // ROUNDS // 10 :]
            bus.close()
        finally:
            assert server.stdin is not None
            server.stdin.close()
    return statistics.median(took[False]) * 1e6, statistics.median(took[True]) * 1e6


def _round_trip(bus: IpcBus, payload: bytes) -> float:
    begun = time.perf_counter()
    assert bus.publish(topics.RESULTS, payload)
    received = bus.receive(5.0)
    assert received is not None and received.payload == payload
    return time.perf_counter() - begun


def _serve(root: Path) -> int:
    with Nucleus(root) as nucleus:
        print(json.dumps(nucleus.client_env(NAME, ACCESS)), flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
