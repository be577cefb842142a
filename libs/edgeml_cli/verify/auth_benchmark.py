"""Measures the overhead of message authentication; ends with one line of JSON.

A local nucleus runs in another process. One component, with the SDK's own client, publishes to a topic and receives its own
messages. Batches with and without authentication alternate, so that other load on the machine affects both.
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
    with tempfile.TemporaryDirectory(prefix="auth-benchmark-") as folder:
        costs = {size: _cost(Path(folder), size, options.messages) for size in SIZES}
        plain, signed = _latency(Path(folder), options.messages)
    for size, (sign_us, verify_us) in costs.items():
        print(f"{size:5} bytes: {sign_us:6.1f} us to sign, {verify_us:6.1f} us to verify")
    print(f"{LATENCY_SIZE:5} bytes from publish to receive, p50: {plain:.0f} us without authentication, {signed:.0f} us with it")
    print(
        json.dumps(
            {
                "sign_us": {str(size): round(cost[0], 1) for size, cost in costs.items()},
                "verify_us": {str(size): round(cost[1], 1) for size, cost in costs.items()},
                "p50_us_plain": round(plain),
                "p50_us_signed": round(signed),
            }
        )
    )
    return 0


def _verifier(work: Path) -> MessageVerifier:
    verifier = MessageVerifier(NAME, work)
    verifier.configure(MessageAuthOptions())
    return verifier


def _cost(work: Path, size: int, n: int) -> tuple[float, float]:
    """Median microseconds to sign and to verify a message of `size` bytes."""
    verifier, payload = _verifier(work), bytes(size)

    def timed(call: Callable[[bytes], bytes | None], message: bytes) -> tuple[int, bytes]:
        started_at = time.perf_counter_ns()
        result = call(message)
        elapsed = time.perf_counter_ns() - started_at
        assert result is not None
        return elapsed, result

    signing, verifying = [], []
    for _ in range(n):
        elapsed, signed = timed(lambda message: verifier.sign(topics.RESULTS, message), payload)
        signing.append(elapsed)
        elapsed, verified = timed(lambda message: (verifier.verify(topics.RESULTS, message) or (None,))[0], signed)
        verifying.append(elapsed)
        assert verified == payload
    return statistics.median(signing) / 1000, statistics.median(verifying) / 1000


def _latency(folder: Path, n: int) -> tuple[float, float]:
    """Median microseconds from publish to receive, without and with authentication."""
    command = [sys.executable, "-m", "edgeml_cli.verify.auth_benchmark", "--serve", str(folder / "root")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            os.environ.update(json.loads(server.stdout.readline()))
            bus, verifier = IpcBus(NAME), _verifier(folder)
            bus.open()
            bus.subscribe(topics.RESULTS)
            latencies: dict[bool, list[float]] = {False: [], True: []}
            for number in range(2 * ROUNDS):
                signed = bool(number % 2)
                bus.verifier = verifier if signed else None
                latencies[signed] += [_round_trip(bus, bytes(LATENCY_SIZE)) for _ in range(n // ROUNDS)][n // ROUNDS // 10 :]
            bus.close()
        finally:
            assert server.stdin is not None
            server.stdin.close()
    return statistics.median(latencies[False]) * 1e6, statistics.median(latencies[True]) * 1e6


def _round_trip(bus: IpcBus, payload: bytes) -> float:
    started_at = time.perf_counter()
    assert bus.publish(topics.RESULTS, payload)
    received = bus.receive(5.0)
    assert received is not None and received.payload == payload
    return time.perf_counter() - started_at


def _serve(root: Path) -> int:
    with Nucleus(root) as nucleus:
        print(json.dumps(nucleus.client_env(NAME, ACCESS)), flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
