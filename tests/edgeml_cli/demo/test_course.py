"""When a run is over, what a person commands in it, and how it is told."""

from __future__ import annotations

from edgeml.messages import Message, ResultBlock, SensorBatch, Status, encode, topics
from edgeml_cli.demo.recorder import Event, Recorder
from edgeml_cli.demo.run_monitor import LATE_S, QUIET_S, STALLED_S, RunMonitor
from edgeml_cli.demo.simulated_operator import AGAIN_S, STEPS, SimulatedOperator
from edgeml_cli.demo.statistics import Statistics
from tests.edgeml_cli.demo import made

FINISHED = Status(component=made.SENSORS, state="finished")


def course(*messages: Message, now: float = 0.0) -> tuple[RunMonitor, list[str]]:
    told: list[str] = []
    made_course = RunMonitor(Recorder(), Statistics(), lambda event: told.append(event.text))
    for message in messages:
        made_course.take("edgeml/any", encode(message), made.DISPATCHER, now)
    return made_course, told


def test_it_is_over_when_all_is_answered_and_quiet() -> None:
    run, _ = course(made.batch(0, [0]), made.results(0, [0]), FINISHED, now=10.0)
    assert not run.over(10.0 + QUIET_S / 2)
    assert run.over(10.0 + QUIET_S)


def test_it_is_not_over_before_its_sources_have_ended() -> None:
    run, _ = course(made.batch(0, [0]), made.results(0, [0]))
    assert not run.over(1e6)


def test_what_stays_unanswered_is_given_up() -> None:
    run, _ = course(made.batch(0, [0]), FINISHED)
    assert not run.over(STALLED_S)
    assert run.over(STALLED_S + 0.1)


def test_a_command_is_awaited_until_its_deadline() -> None:
    run, _ = course(made.command(), FINISHED)
    assert not run.over(5.0 + LATE_S - 0.1)
    assert run.over(5.0 + LATE_S)


def test_a_restarted_source_has_not_ended() -> None:
    run, _ = course(FINISHED, Status(component=made.SENSORS, state="running"))
    assert not run.over(1e6)


def test_a_faulty_component_ends_it_at_once() -> None:
    run, told = course(Status(component=made.SENSORS, state="faulty", faults=("pump-1: no column 'Voltage'",)))
    assert run.over(0.0)
    assert run.faults == {made.SENSORS: ("pump-1: no column 'Voltage'",)}
    assert told == ["SensorIngestion: pump-1: no column 'Voltage'"]


def test_rubbish_is_counted_and_told_and_other_topics_are_not_heard() -> None:
    run, told = course()
    run.take(topics.RESULTS, b"\x00rubbish", None, 0.0)
    run.take("somebody/else", b"\x00rubbish", None, 0.0)
    run.take(topics.heartbeat(made.SENSORS), b"", made.SENSORS, 0.0)
    assert run.unreadable == 1
    assert len(told) == 1 and topics.RESULTS in told[0]


def test_an_episode_is_told_in_its_order() -> None:
    events: list[Event] = []
    run = RunMonitor(Recorder(), Statistics(), events.append)
    for message, sender in made.episode():
        run.take("edgeml/any", encode(message), sender, 0.0)
    beginnings = [
        "pump-1 measures pressure, flow",
        "no decision: learning",
        "baseline learned; pump-anomaly 1.0.0 decides",
        "alarm pending at confidence 0.97",
        "ALARM ACTIVE at confidence 0.97: flow is 8",
        "AlertDispatcher sends the command stop",
        "pump-1 answers: stop executed",
        "maintenance sends the command restore",
        "pump-1 answers: restore executed",
        "maintenance sends the command start",
        "pump-1 answers: start executed",
        "alarm cleared",
        "SensorIngestion is finished",
    ]
    assert len(events) == len(beginnings)
    assert all(event.text.startswith(wanted) for event, wanted in zip(events, beginnings, strict=True))
    assert events[4].kind == "alarm" and events[4].at == made.at(157)


def test_a_note_about_an_alarm_is_told() -> None:
    import msgspec

    active = made.alert(0, "active", 9, raised=9)
    noted = msgspec.structs.replace(active, seq=1, note="pump-1 did not acknowledge the stop command within 3 s")
    _, told = course(active, noted, noted)
    assert told[1:] == ["noted about alarm a1: pump-1 did not acknowledge the stop command within 3 s"]


def after(rows: int) -> SensorBatch:
    return made.batch(rows, [rows])


def test_maintenance_restores_then_starts_in_its_own_time() -> None:
    person = SimulatedOperator()
    for message in (after(100), made.command(), made.ack(row=100)):
        person.take(message)
    assert person.busy and person.due(0.0, 0) == []
    person.take(after(100 + int(STEPS[0].after_s)))
    [restore] = person.due(0.0, 0)
    assert (restore.action, restore.asset, restore.alarm) == ("restore", made.ASSET, "a1")
    person.take(made.ack(restore.id))
    person.take(after(200))
    [start] = person.due(0.0, 0)
    assert start.action == "start" and start.id != restore.id
    person.take(made.ack(start.id))
    assert not person.busy and person.due(1e6, 0) == []


def test_maintenance_repeats_a_command_under_its_id_until_it_is_executed() -> None:
    person = SimulatedOperator()
    for message in (after(0), made.command(), made.ack(), after(1000)):
        person.take(message)
    [first] = person.due(0.0, 0)
    assert person.due(AGAIN_S / 2, 0) == []
    [again] = person.due(AGAIN_S, 0)
    assert again.id == first.id
    person.take(made.ack(first.id, status="expired"))
    assert [command.id for command in person.due(3 * AGAIN_S, 0)] == [first.id]


def test_maintenance_mends_once_for_each_stop_and_only_when_it_was_executed() -> None:
    person = SimulatedOperator()
    for message in (made.command(), made.ack(status="refused"), after(1000)):
        person.take(message)
    assert not person.busy
    other: list[Message] = [made.ack(), made.ack()]
    for message in other:
        person.take(message)
    assert person.busy
    for _ in STEPS:
        person.take(after(5000))
        [command] = person.due(0.0, 0)
        person.take(made.ack(command.id))
        person.take(after(10_000))
    person.take(made.ack())
    assert not person.busy


def test_blocks_of_other_shapes_end_nothing() -> None:
    run, _ = course(FINISHED)
    empty: ResultBlock = made.results(0, [])
    run.take(topics.RESULTS, encode(empty), None, 0.0)
    assert run.over(QUIET_S)
