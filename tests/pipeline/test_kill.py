"""`kill -9` of each component in mid-run changes no alert and no command."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgeml.messages import Command, decode
from edgeml.timestamps import SECOND
from edgeml_cli.demo.run_monitor import RunMonitor
from edgeml_cli.demo.scenario import one_episode
from edgeml_cli.demo.statistics import Statistics
from gglocal.core.state import Delivery
from tests.pipeline.line import COMPONENTS, Line, valve

SPEED = 150.0
DURATION_S = 1800.0
"""Long enough for the machine to be restored and started even when the killed component comes back late."""


@pytest.fixture(scope="module")
def unfaulted() -> dict[str, Statistics]:
    return {}


def run(line: Callable[..., Line], version: str, kill: str = "", when: Callable[[Statistics], bool] = lambda tally: False) -> Statistics:
    suite = line()
    scenario = valve(SPEED, DURATION_S)
    suite.deploy(scenario.config, version)
    killed: list[int] = []
    sent: list[str] = []

    def on_message(course: RunMonitor, delivery: Delivery) -> None:
        if kill and not killed and when(course.stats):
            killed.append(course.stats.rows)
            suite.nucleus.kill(kill)
        if delivery.topic == "edgeml/commands/ack":
            sent.append(decode(delivery.payload).status)  # type: ignore[attr-defined]

    tally = suite.follow(scenario, on_message)
    assert bool(killed) == bool(kill)
    if kill:
        assert suite.nucleus.component(kill).starts == 2
    return tally


MOMENTS: dict[str, Callable[[Statistics], bool]] = {
    "while learning": lambda tally: tally.results > 200,
    "in normal running": lambda tally: tally.results > 520,
    "while the alarm is pending": lambda tally: bool(tally.alarms),
    "once the command is sent": lambda tally: bool(tally.commands),
    "once the machine is restored": lambda tally: any(c.action == "start" and c.status for c in tally.commands.values()),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("component", COMPONENTS)
def test_kill_of_a_component_changes_no_result(line, version, unfaulted, component, moment):
    if "tally" not in unfaulted:
        unfaulted["tally"] = run(line, version)
    plain = unfaulted["tally"]
    assert one_episode(plain) == []
    tally = run(line, version, component, MOMENTS[moment])
    assert one_episode(tally) == []
    assert [alarm.asset for alarm in tally.raised] == [alarm.asset for alarm in plain.raised]
    for mine, other in zip(tally.raised, plain.raised, strict=True):
        assert mine.raised_at is not None and other.raised_at is not None
        assert abs(mine.raised_at - other.raised_at) <= 5 * SECOND
    stops = [command for command in tally.commands.values() if command.action == "stop"]
    assert [command.status for command in stops] == ["executed"]
    assert (tally.gaps, tally.rows_without_result) == (0, 0)
    assert tally.rows == plain.rows == DURATION_S


def test_tally_distinguishes_a_second_command():
    # The guard of the test above: two ids in one episode would be seen as two.
    tally = Statistics()
    for number in (1, 1, 2):
        tally.add(Command(id=f"{number}", asset="p", action="stop"), "sender")
    assert len(tally.commands) == 2
