"""Checks the invariants of a run. Pure: traffic, faults and reference in, figures and violations out."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from typing import Any

from alert_dispatcher.health_conditions import PREFIX
from edgeml.alarms.alarm_policy import Alarm
from edgeml.timestamps import SECOND, from_iso
from edgeml_cli.verify.chaos import reference_results
from edgeml_cli.verify.chaos.fault_schedule import ScheduledFault
from edgeml_cli.verify.chaos.machines import CLOCKED
from edgeml_cli.verify.chaos.traffic_recorder import AlertKey, ObservedAlerts, TrafficRecorder

MAX_SILENCE_S = 10.0
"""Longest interruption of the flow allowed after the end of a fault."""
ALARM_TOLERANCE_S = 60.0
"""Tolerance, in seconds of event time, for an alarm that is raised later because Inference had to refill its windows."""
DISPATCHER = "com.edgeml.AlertDispatcher"


@dataclass(frozen=True)
class Violation:
    """A violated invariant, `at_s` seconds after the start of the run."""

    at_s: float
    sentence: str


@dataclass
class Evaluation:
    """The figures and the violations of one run."""

    figures: dict[str, float] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    def count(self, name: str, faults: list[Violation]) -> None:
        self.figures[name] = len(faults)
        self.violations += faults


def silences(moments: list[float], scheduled: list[ScheduledFault], until_s: float) -> list[tuple[float, float]]:
    """The duration and the end of each interruption of a flow during which no fault was active."""
    edges = sorted({edge for fault in scheduled for edge in (fault.at, fault.at + fault.duration_s)})
    found = []
    for last, upcoming in zip(moments, [*moments[1:], max(until_s, moments[-1])], strict=True):
        # Cut at the start and end of each fault, so that each part is disturbed as a whole or not at all.
        inner = edges[bisect.bisect_right(edges, last) : bisect.bisect_left(edges, upcoming)]
        cut = [last, *inner, upcoming]
        found += [(end - begin, end) for begin, end in zip(cut, cut[1:], strict=False) if not _is_disturbed(begin, end, scheduled)]
    return found


def evaluate(
    traffic: TrafficRecorder,
    cloud: ObservedAlerts,
    scheduled: list[ScheduledFault],
    offline: dict[str, list[reference_results.Evaluated]],
    options: Any,
    starts: dict[str, int],
    lengths: dict[str, int],
    until_s: float,
) -> Evaluation:
    """Check all invariants.

    Args:
        cloud: alerts that arrived in IoT Core.
        scheduled: the injected faults.
        offline: reference results by asset.
        options: options of the alarm policy.
        starts: number of starts of each component.
        lengths: number of rows of each asset's source.
        until_s: time at which the sources had finished.
    """
    evaluation = Evaluation()
    _rows(evaluation, traffic, lengths)
    certain, possible = _by_policy(traffic, options)
    _alerts(evaluation, "alerts_lost", certain, possible, traffic.alerts, raised_only=False)
    _alerts(evaluation, "cloud_alerts_lost", certain, possible, cloud, raised_only=True)
    expected: dict[str, Alarm] = {}
    for asset, results in offline.items():
        expected |= reference_results.raised(reference_results.alerts(asset, traffic.model, results, options).values())
    observed = reference_results.raised(possible.values())
    evaluation.count(
        "alarms_missed",
        [
            Violation(until_s, f"the reference raises an alarm of {alarm.asset}, but the pipeline raised none near that time")
            for alarm in reference_results.missed(expected, observed, ALARM_TOLERANCE_S)
        ],
    )
    evaluation.figures |= {
        "alarms": len(observed),
        "alerts": len(certain),
        "cloud_alerts": len(cloud.by_key),
        "alerts_about_the_suite": sum(alert.model.startswith(PREFIX) for alert in traffic.alerts.by_key.values()),
        "rows": sum(len(each.rows) for each in traffic.rows.values()),
    }
    _repeats(evaluation, traffic.alerts, cloud, starts[DISPATCHER] - 1, len(scheduled), until_s)
    _commands(evaluation, traffic, until_s)
    _silence(evaluation, traffic, scheduled, until_s)
    if traffic.unreadable:
        evaluation.violations.append(Violation(until_s, f"{traffic.unreadable} messages could not be decoded"))
    return evaluation


def _by_policy(traffic: TrafficRecorder, options: Any) -> tuple[dict[AlertKey, Alarm], dict[AlertKey, Alarm]]:
    """The alarms that the policy derives from the published results: certain ones and possible ones.

    A restarted Inference may publish another result for a row, because its windows were refilled. AlertDispatcher may have
    received either one. An alarm is certain if it follows both from the first and from the last results.
    """
    certain: dict[AlertKey, Alarm] = {}
    possible: dict[AlertKey, Alarm] = {}
    for asset, times in traffic.results.items():
        if asset == CLOCKED:
            continue  # its clock is set back, so the order of arrival is not the order of event time
        ways = [
            reference_results.alerts(asset, traffic.model, [(time, times[time][which][1]) for time in sorted(times)], options)
            for which in (0, -1)
        ]
        certain |= {key: alarm for key, alarm in ways[0].items() if key in ways[1]}
        possible |= ways[0] | ways[1]
    return certain, possible


def _rows(evaluation: Evaluation, traffic: TrafficRecorder, lengths: dict[str, int]) -> None:
    came = {asset: len(traffic.rows[asset].rows) if asset in traffic.rows else 0 for asset in lengths}
    evaluation.figures["rows_lost"] = sum(lengths[asset] - came[asset] for asset in lengths)
    evaluation.violations += [
        Violation(0.0, f"{lengths[asset] - came[asset]} rows of {asset} never arrived")
        for asset in lengths
        if came[asset] != lengths[asset]
    ]
    evaluation.figures["rows_without_result"] = 0
    for asset, rows in traffic.rows.items():
        if asset == CLOCKED:
            continue  # it never ends, and a relaunch does not request its rows from before the clock was set back
        open_ones = sorted(rows.rows.keys() - traffic.results.get(asset, {}).keys())
        evaluation.figures["rows_without_result"] += len(open_ones)
        if open_ones:
            first, last = ((time - min(rows.rows)) // SECOND for time in (open_ones[0], open_ones[-1]))
            evaluation.violations.append(Violation(0.0, f"{len(open_ones)} rows of {asset} from row {first} to {last} have no result"))


def _alerts(
    evaluation: Evaluation,
    name: str,
    certain: dict[AlertKey, Alarm],
    possible: dict[AlertKey, Alarm],
    received: ObservedAlerts,
    raised_only: bool,
) -> None:
    where = "IoT Core" if raised_only else "the local topic"
    lost = [
        Violation(0.0, f"the alert {state} of {alarm.asset}, alarm {id}, did not arrive at {where}")
        for (id, state), alarm in certain.items()
        if (id, state) not in received.by_key and (alarm.raised_at is not None or not raised_only)
    ]
    evaluation.count(name, lost)
    odd = [
        Violation(alert.first_s, f"the alert {state} of {alert.asset}, alarm {id}, arrived at {where} but follows from no result")
        for (id, state), alert in received.by_key.items()
        if (id, state) not in possible and alert.asset != CLOCKED and not alert.model.startswith(PREFIX)
    ]
    evaluation.count(name.replace("lost", "unexpected"), odd)


def _repeats(evaluation: Evaluation, local: ObservedAlerts, cloud: ObservedAlerts, relaunches: int, faults: int, until_s: float) -> None:
    # A relaunch between sending and recording it causes a duplicate. In IoT Core, so does a fault that delays the confirmation.
    for name, received, allowed in (("duplicates", local, relaunches), ("cloud_duplicates", cloud, faults)):
        evaluation.figures[name] = received.repeated
        for (id, state), alert in received.by_key.items():
            if alert.repeated > allowed:
                sentence = f"the alert {state} of alarm {id} was repeated {alert.repeated} times; at most {allowed} are allowed ({name})"
                evaluation.violations.append(Violation(alert.first_s, sentence))
    evaluation.figures["dispatcher_relaunches"] = relaunches
    if local.repeated > relaunches:
        evaluation.violations.append(Violation(until_s, f"{local.repeated} local alerts were duplicated, with {relaunches} relaunches"))


def _commands(evaluation: Evaluation, traffic: TrafficRecorder, until_s: float) -> None:
    twice, late, untold = [], [], []
    for id, acks in traffic.acks.items():
        moments = {ack.at for ack in acks if ack.status == "executed"}
        if len(moments) > 1:
            twice.append(Violation(until_s, f"the command {id} was executed at {' and at '.join(sorted(moments))}"))
    for asset, (stopped, wanted) in _stops(traffic).items():
        if stopped > wanted:
            twice.append(Violation(until_s, f"{asset} was stopped {stopped} times by {wanted} commands"))
    for id, command in traffic.commands.items():
        if not command.alarm or command.action != "stop":
            continue
        done = traffic.executed.get(id)
        if done is not None and isinstance(command.issued_monotonic_s, float):
            by = done - (command.issued_monotonic_s + command.timeout_s)
            if by > 0.1:
                late.append(Violation(until_s, f"the command {id} was executed {by:.2f} s after its deadline"))
        if done is None and not traffic.alerts.notes(command.alarm):
            untold.append(Violation(until_s, f"the command {id} was not executed, and no alert reports this"))
    evaluation.count("commands_executed_twice", twice)
    evaluation.count("commands_late", late)
    evaluation.count("commands_unreported", untold)
    evaluation.figures["commands"] = sum(bool(each.alarm) and each.action == "stop" for each in traffic.commands.values())
    evaluation.figures["commands_executed"] = sum(
        id in traffic.executed for id, each in traffic.commands.items() if each.alarm and each.action == "stop"
    )


def _stops(traffic: TrafficRecorder) -> dict[str, tuple[int, int]]:
    """By asset: the number of times its motor stopped, according to its rows, and the number of executed stop commands."""
    found = {}
    for asset, rows in traffic.rows.items():
        channel = rows.channels.index("current")
        off = [float(rows.rows[time][0][channel]) < 0.1 for time in sorted(rows.rows)]
        went = sum(now and not before for before, now in zip(off, off[1:], strict=False))
        done = sum(each.asset == asset and each.action == "stop" and id in traffic.executed for id, each in traffic.commands.items())
        found[asset] = (went, done)
    return found


def _silence(evaluation: Evaluation, traffic: TrafficRecorder, scheduled: list[ScheduledFault], until_s: float) -> None:
    longest = 0.0
    for topic, moments in traffic.flow.items():
        for seconds, at_s in silences([at for at in moments if at <= until_s] or [0.0], scheduled, until_s):
            longest = max(longest, seconds)
            if seconds > MAX_SILENCE_S:
                evaluation.violations.append(Violation(at_s, f"{topic} was silent for {seconds:.1f} s with no fault active"))
    for (id, state), alert in traffic.alerts.by_key.items():
        times = [at for at, _ in traffic.results.get(alert.asset, {}).get(_ns(alert.event_at), ())]
        if times and times[0] < alert.first_s:
            wait = max(seconds for seconds, _ in silences([times[0]], scheduled, alert.first_s) or [(0.0, 0.0)])
            longest = max(longest, wait)
            if wait > MAX_SILENCE_S:
                evaluation.violations.append(
                    Violation(alert.first_s, f"the alert {state} of alarm {id} arrived {wait:.1f} s after its result")
                )
    evaluation.figures["longest_silence_s"] = round(longest, 2)


def _is_disturbed(begin: float, end: float, scheduled: list[ScheduledFault]) -> bool:
    """Whether a fault is active during the whole interval."""
    return any(fault.at <= begin and fault.at + fault.duration_s >= end and fault.duration_s for fault in scheduled)


def _ns(text: str) -> int:
    return round(from_iso(text) / SECOND) * SECOND
