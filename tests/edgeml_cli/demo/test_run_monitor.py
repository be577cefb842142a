"""The end of a run, its event log, and the commands of the simulated operator."""

from __future__ import annotations

from edgeml.messages import Message, ResultBlock, SensorBatch, Status, encode, topics
from edgeml_cli.demo.recorder import Event, Recorder
from edgeml_cli.demo.run_monitor import ACK_GRACE_S, SETTLE_S, STALL_TIMEOUT_S, RunMonitor
from edgeml_cli.demo.simulated_operator import RESEND_AFTER_S, STEPS, SimulatedOperator
from edgeml_cli.demo.statistics import Statistics
from tests.edgeml_cli.demo import samples

FINISHED = Status(component=samples.SENSORS, state="finished")


def monitored(*messages: Message, now: float = 0.0) -> tuple[RunMonitor, list[str]]:
    texts: list[str] = []
    monitor = RunMonitor(Recorder(), Statistics(), lambda event: texts.append(event.text))
    for message in messages:
        monitor.handle("edgeml/any", encode(message), samples.DISPATCHER, now)
    return monitor, texts


def test_run_is_over_when_every_row_has_its_result() -> None:
    run, _ = monitored(samples.batch(0, [0]), samples.results(0, [0]), FINISHED, now=10.0)
    assert not run.is_over(10.0 + SETTLE_S / 2)
    assert run.is_over(10.0 + SETTLE_S)


def test_run_is_not_over_before_its_sources_finish() -> None:
    run, _ = monitored(samples.batch(0, [0]), samples.results(0, [0]))
    assert not run.is_over(1e6)


def test_run_with_missing_results_times_out() -> None:
    run, _ = monitored(samples.batch(0, [0]), FINISHED)
    assert not run.is_over(STALL_TIMEOUT_S)
    assert run.is_over(STALL_TIMEOUT_S + 0.1)


def test_run_waits_for_acknowledgement_until_the_deadline() -> None:
    run, _ = monitored(samples.command(), FINISHED)
    assert not run.is_over(5.0 + ACK_GRACE_S - 0.1)
    assert run.is_over(5.0 + ACK_GRACE_S)


def test_restarted_source_is_not_finished() -> None:
    run, _ = monitored(FINISHED, Status(component=samples.SENSORS, state="running"))
    assert not run.is_over(1e6)


def test_faulty_component_ends_the_run() -> None:
    run, texts = monitored(Status(component=samples.SENSORS, state="faulty", faults=("pump-1: no column 'Voltage'",)))
    assert run.is_over(0.0)
    assert run.faults == {samples.SENSORS: ("pump-1: no column 'Voltage'",)}
    assert texts == ["SensorIngestion: pump-1: no column 'Voltage'"]


def test_undecodable_messages_are_counted_and_other_topics_ignored() -> None:
    run, texts = monitored()
    run.handle(topics.RESULTS, b"\x00garbage", None, 0.0)
    run.handle("another/topic", b"\x00garbage", None, 0.0)
    run.handle(topics.heartbeat(samples.SENSORS), b"", samples.SENSORS, 0.0)
    assert run.unreadable == 1
    assert len(texts) == 1 and topics.RESULTS in texts[0]


def test_event_log_of_an_episode() -> None:
    events: list[Event] = []
    run = RunMonitor(Recorder(), Statistics(), events.append)
    for message, sender in samples.episode():
        run.handle("edgeml/any", encode(message), sender, 0.0)
    beginnings = [
        "first reading of pump-1; channels: pressure, flow",
        "no decision: learning",
        "baseline learned; model pump-anomaly 1.0.0 starts scoring",
        "alarm pending, confidence 0.97",
        "ALARM ACTIVE, confidence 0.97: flow is 8",
        "AlertDispatcher sends the command: stop",
        "pump-1 acknowledges the command: stop executed",
        "operator sends the command: restore",
        "pump-1 acknowledges the command: restore executed",
        "operator sends the command: start",
        "pump-1 acknowledges the command: start executed",
        "alarm cleared",
        "SensorIngestion is finished",
    ]
    assert len(events) == len(beginnings)
    assert all(event.text.startswith(beginning) for event, beginning in zip(events, beginnings, strict=True))
    assert events[4].kind == "alarm" and events[4].at == samples.at(157)


def test_note_on_an_alarm_is_logged() -> None:
    import msgspec

    active = samples.alert(0, "active", 9, raised=9)
    noted = msgspec.structs.replace(active, seq=1, note="pump-1 did not acknowledge the stop command within 3 s")
    _, texts = monitored(active, noted, noted)
    assert texts[1:] == ["note on alarm a1: pump-1 did not acknowledge the stop command within 3 s"]


def after(rows: int) -> SensorBatch:
    return samples.batch(rows, [rows])


def test_operator_restores_then_starts_the_machine() -> None:
    operator = SimulatedOperator()
    for message in (after(100), samples.command(), samples.ack(row=100)):
        operator.observe(message)
    assert operator.busy and operator.due(0.0, 0) == []
    operator.observe(after(100 + int(STEPS[0].delay_s)))
    [restore] = operator.due(0.0, 0)
    assert (restore.action, restore.asset, restore.alarm) == ("restore", samples.ASSET, "a1")
    operator.observe(samples.ack(restore.id))
    operator.observe(after(200))
    [start] = operator.due(0.0, 0)
    assert start.action == "start" and start.id != restore.id
    operator.observe(samples.ack(start.id))
    assert not operator.busy and operator.due(1e6, 0) == []


def test_operator_resends_a_command_under_its_id_until_executed() -> None:
    operator = SimulatedOperator()
    for message in (after(0), samples.command(), samples.ack(), after(1000)):
        operator.observe(message)
    [first] = operator.due(0.0, 0)
    assert operator.due(RESEND_AFTER_S / 2, 0) == []
    [again] = operator.due(RESEND_AFTER_S, 0)
    assert again.id == first.id
    operator.observe(samples.ack(first.id, status="expired"))
    assert [command.id for command in operator.due(3 * RESEND_AFTER_S, 0)] == [first.id]


def test_operator_reacts_once_to_each_executed_stop() -> None:
    operator = SimulatedOperator()
    for message in (samples.command(), samples.ack(status="refused"), after(1000)):
        operator.observe(message)
    assert not operator.busy
    other: list[Message] = [samples.ack(), samples.ack()]
    for message in other:
        operator.observe(message)
    assert operator.busy
    for _ in STEPS:
        operator.observe(after(5000))
        [command] = operator.due(0.0, 0)
        operator.observe(samples.ack(command.id))
        operator.observe(after(10_000))
    operator.observe(samples.ack())
    assert not operator.busy


def test_empty_result_block_is_no_progress() -> None:
    run, _ = monitored(FINISHED)
    empty: ResultBlock = samples.results(0, [])
    run.handle(topics.RESULTS, encode(empty), None, 0.0)
    assert run.is_over(SETTLE_S)
