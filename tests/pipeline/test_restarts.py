"""Each restart inside the nucleus: the whole pipeline is back within 10 s, and only that of the IPC broker costs a relaunch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from edgeml.errors import MessageError
from edgeml.messages import Acknowledge, Alert, Command, CommandAck, Message, ResultBlock, decode, encode, encode_json, topics
from edgeml_cli.demo.scenario import ASSET
from tests.components.alert_dispatcher.kit import results
from tests.pipeline.line import COMPONENTS, THING, Line, valve

log = logging.getLogger(__name__)

RECOVERY_S = 10.0
RESTARTS = {"pubsub-restart": 0, "config-restart": 0, "ipc-restart": 1}
"""How often it relaunches each component."""
CONFIG_S = 2.0
SOURCE, INFERENCE, DISPATCHER = COMPONENTS


class Pulse:
    """Asks each subscription of the pipeline whether it lives, and listens for the answers."""

    def __init__(self, suite: Line) -> None:
        self.suite = suite
        self.messages: list[Message] = []
        self._asked = 0.0
        suite.nucleus.tap(lambda delivery: self._hear(delivery.payload))

    def all_live(self, name: str) -> dict[str, Callable[[], bool]]:
        """The conditions of a working pipeline; `name` distinguishes this check from earlier ones."""
        rows = len(self._results())
        loads = self.suite.log(INFERENCE).count(" on litert")
        return {
            "rows are scored": lambda: len(self._results()) > rows + 1,
            "a command is answered": lambda: any(isinstance(m, CommandAck) and m.id == name for m in self.messages),
            "an acknowledgement is heard": lambda: bool(self._alarms(f"local {name}", "acknowledged")),
            "an operator's is heard": lambda: bool(self._alarms(f"cloud {name}", "acknowledged")),
            "a configuration is taken up": lambda: self.suite.log(INFERENCE).count(" on litert") > loads,
        }

    def ask(self, name: str) -> None:
        if time.monotonic() < self._asked + 0.3:
            return
        self._asked = time.monotonic()
        nucleus = self.suite.nucleus
        nucleus.publish(topics.COMMANDS, encode(Command(id=name, asset=ASSET, action="dance")), signed=True)
        for where in ("local", "cloud"):
            # A machine of its own for each time and way, whose alarm is to be acknowledged.
            nucleus.publish(topics.RESULTS, encode(results([1.0] * 120, asset=f"{where} {name}", stream=where)), signed=True)
        for alarm in self._alarms(f"local {name}", "active"):
            nucleus.publish(topics.ALERTS_ACK, encode(Acknowledge(alarm=alarm)), signed=True)
        for alarm in self._alarms(f"cloud {name}", "active"):
            nucleus.publish_iot(topics.cloud_alerts_ack(THING), encode_json(Acknowledge(alarm=alarm)))

    def recovery_s(self, name: str, change: Callable[[], None]) -> float:
        """Seconds until everything lives; fails when that takes too long."""
        begun, wanted = time.monotonic(), self.all_live(name)
        change()
        while wanted:
            self.ask(name)
            wanted = {what: holds for what, holds in wanted.items() if not holds()}
            assert time.monotonic() < begun + RECOVERY_S or not wanted, f"{name}: not within {RECOVERY_S:g} s: {', '.join(wanted)}"
            time.sleep(0.05)
        return time.monotonic() - begun

    def _alarms(self, asset: str, state: str) -> set[str]:
        """Ids of the alarms of an asset that were in a state."""
        return {m.id for m in self.messages if isinstance(m, Alert) and (m.asset, m.state) == (asset, state)}

    def _results(self) -> list[ResultBlock]:
        return [message for message in self.messages if isinstance(message, ResultBlock) and message.asset == ASSET]

    def _hear(self, payload: bytes) -> None:
        try:
            self.messages.append(decode(payload))
        except MessageError:
            pass


def test_pipeline_recovers_within_10_s_of_each_restart(line, version):
    suite = line(profile="classic")  # there a running component is notified of a changed configuration
    suite.deploy(valve(speed=20, duration_s=100_000).config, version)
    suite.until(lambda: " on litert" in suite.log(INFERENCE), 60, "a model")
    pulse = Pulse(suite)
    suite.until(lambda: len(pulse.messages) > 20, 60, "a pipeline that runs")
    starts, figures = 1, {}
    for number, (fault, relaunches) in enumerate(RESTARTS.items()):
        suite.nucleus.fault(fault, **({"for_s": CONFIG_S} if fault == "config-restart" else {}))
        if fault == "config-restart":
            time.sleep(CONFIG_S)
        figures[fault] = pulse.recovery_s(
            fault,
            lambda change={INFERENCE: {"replay_buffer_s": 901 + number}}: suite.deploy(change, version),  # type: ignore[misc]
        )
        starts += relaunches
        assert {name: suite.nucleus.component(name).starts for name in COMPONENTS} == dict.fromkeys(COMPONENTS, starts)
    log.info("recovery after %s", ", ".join(f"{fault}: {seconds:.1f} s" for fault, seconds in figures.items()))
