"""A component of the same core that is not trusted forges, repeats and floods: the pipeline continues, and reports it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from edgeml.messages import (
    Acknowledge,
    Command,
    CommandAck,
    Message,
    Permit,
    Release,
    ReplayRequest,
    ResetBaseline,
    ResultBlock,
    ResultColumns,
    SensorBatch,
    Status,
    decode,
    encode,
    topics,
)
from edgeml.timestamps import SECOND
from edgeml_cli.demo.run_monitor import RunMonitor
from edgeml_cli.demo.scenario import ASSET, one_episode
from gglocal.core.state import Delivery
from tests.gglocal.ipc_world import EVERYTHING
from tests.independent_signer import sign
from tests.patience import PATIENCE_S
from tests.pipeline.line import COMPONENTS, Line, valve
from tests.pipeline.neighbour import NAME, Neighbour

SOURCE, INFERENCE, DISPATCHER = COMPONENTS
ROOT = Path(__file__).parents[2]
REFUSED = " messages were refused: "


class Statuses:
    """All faults that the components report."""

    def __init__(self) -> None:
        self.faults: dict[str, set[str]] = {component: set() for component in COMPONENTS}

    def take(self, delivery: Delivery) -> None:
        if delivery.topic == topics.STATUS and delivery.sender in self.faults:
            message = decode(delivery.payload)
            assert isinstance(message, Status)
            self.faults[delivery.sender].update(message.faults)

    def refused(self, component: str, reason: str) -> int:
        """The highest count of a reason in a component's health."""
        counts = [re.search(rf"(\d+) {reason}\b", fault) for fault in self.faults[component] if REFUSED in fault]
        return max((int(count[1]) for count in counts if count), default=0)


def forgeries(course: RunMonitor) -> list[tuple[str, Message]]:
    """Messages that would change the run if they were accepted."""
    at = course.recorder.assets[ASSET].last_time or 0
    times = at + np.arange(1, 31) * SECOND
    columns = ResultColumns(
        times=times,
        starts=times,
        score=np.ones(30),
        confidence=np.ones(30),
        reason=np.zeros(30),
        deviations=np.ones((30, 1)),
        latency_us=np.ones((30, 2)),
    )
    results = ResultBlock(
        asset=ASSET,
        stream="0" * 16,
        seq=0,
        model="pump_anomaly",
        model_version="1.0.0",
        digest="",
        answers_stream="1" * 16,
        answers_seq=0,
        complete=True,
        channels=("flow",),
        reasons=(),
        **columns.packed(),
    )
    batch = SensorBatch.of(ASSET, "2" * 16, 0, ("flow",), ("l/min",), times, np.zeros((30, 1)))
    return [
        (topics.COMMANDS, Command(id="forged", asset=ASSET, action="stop")),
        (topics.RESULTS, results),
        (topics.SENSORS, batch),
        (topics.CONTROL, ResetBaseline()),
        (topics.REPLAY, ReplayRequest(topic=topics.SENSORS)),
        (topics.COMMANDS_RELEASE, Release(asset=ASSET, by="nobody")),
        (topics.INTERLOCK, Permit(asset=ASSET, allowed=True)),
        *((topics.ALERTS_ACK, Acknowledge(alarm=alarm, by="nobody")) for alarm in course.stats.alarms),
        *((topics.COMMANDS_ACK, CommandAck(id=id, asset=ASSET, status="refused", detail="forged")) for id in course.stats.commands),
    ]


def test_forged_and_repeated_messages_are_reported_and_change_nothing(line, version, tmp_path):
    suite: Line = line()
    key = tmp_path / "own.key"
    key.write_text("f" * 64)
    neighbour = Neighbour(suite.nucleus.client_env(NAME, EVERYTHING))
    for topic in sorted(topics.SIGNED):
        neighbour.record(topic)
    statuses, stop, said = Statuses(), threading.Event(), set()

    def on_message(course: RunMonitor, delivery: Delivery) -> None:
        statuses.take(delivery)
        moment = (course.stats.rows // 100, len(course.stats.alarms), len(course.stats.commands), len(course.stats.raised))
        if course.stats.rows > 100 and moment not in said:
            said.add(moment)
            for topic, message in forgeries(course):
                neighbour.say(topic, encode(message))
                neighbour.say(topic, sign(key, topic, encode(message)))

    scenario = valve(speed=120)
    with ThreadPoolExecutor(1) as pool:
        repeating = pool.submit(neighbour.repeat, stop)
        try:
            suite.deploy(scenario.config, version)
            tally = suite.follow(scenario, on_message, expected=REFUSED, apart=NAME)
        finally:
            stop.set()
        repeated = repeating.result()
    neighbour.close()

    assert repeated > 500 and len(said) > 15
    assert one_episode(tally) == []
    assert (tally.rows, tally.gaps, tally.rows_without_result) == (1300, 0, 0)
    assert [command.action for command in tally.commands.values()] == ["stop", "restore", "start"]
    assert all(command.status == "executed" for command in tally.commands.values())
    for component in COMPONENTS:
        for reason in ("unsigned", "forged", "replayed"):
            assert statuses.refused(component, reason) > 0, (component, reason, statuses.faults)
        log = suite.log(component)
        assert "it has no signature" in log and "signed with another key" in log and "repeats an earlier message unchanged" in log
        assert "Traceback" not in log and suite.nucleus.component(component).starts == 1
        assert log.count(": refused a message") < 150  # of thousands


def test_flood_by_another_component_stops_no_component(line, version):
    suite: Line = line()
    environment = suite.nucleus.client_env(NAME, EVERYTHING)
    path = os.pathsep.join(str(ROOT / part) for part in ("libs", "components", "scripts", "."))
    aims = [topics.RESULTS, topics.COMMANDS, topics.SENSORS, topics.COMMANDS_ACK, topics.ALERTS_ACK]
    statuses = Statuses()
    scenario = valve(speed=80)
    flood = subprocess.Popen(
        [sys.executable, "-m", "tests.pipeline.neighbour", *aims],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment | {"PYTHONPATH": path},
    )
    try:
        suite.deploy(scenario.config, version)
        tally = suite.follow(scenario, lambda course, delivery: statuses.take(delivery), expected=REFUSED, apart=NAME)
        sent, cut = map(int, flood.communicate(timeout=PATIENCE_S)[0].split())
    finally:
        flood.kill()
        flood.wait()
    assert sent > 1_000 and cut > 3
    assert one_episode(tally) == []
    assert (tally.rows, tally.gaps, tally.rows_without_result) == (1300, 0, 0)
    for component in COMPONENTS:
        assert statuses.refused(component, "unsigned") + statuses.refused(component, "forged") > 100
        assert suite.nucleus.component(component).starts == 1
        assert "Traceback" not in suite.log(component) and suite.log(component).count("\n") < 200
