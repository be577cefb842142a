"""What was promised against what was seen. Pure: a watch, the faults and the expectation in, figures and sentences out."""

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

SILENCE_S = 10.0
"""The longest that the flow may stand still after a fault's end."""
NEAR_S = 60.0
"""Event seconds by which an alarm may be raised later than offline, after Inference had to fill its windows anew."""
DISPATCHER = "com.edgeml.AlertDispatcher"


@dataclass(frozen=True)
class Violation:
    """A promise that was not kept, `at_s` seconds after the run began."""

    at_s: float
    sentence: str


@dataclass
class Verdict:
    """One run's figures, which add up over runs but for the largest ones, and what went wrong."""

    figures: dict[str, float] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    def count(self, name: str, faults: list[Violation]) -> None:
        self.figures[name] = len(faults)
        self.violations += faults


def silences(moments: list[float], strikes: list[ScheduledFault], until_s: float) -> list[tuple[float, float]]:
    """For each stretch in which a flow stood still and no fault was active: how long it was, and when it ended."""
    edges = sorted({edge for strike in strikes for edge in (strike.at, strike.at + strike.lasts_s)})
    found = []
    for last, upcoming in zip(moments, [*moments[1:], max(until_s, moments[-1])], strict=True):
        # Cut where a fault begins or ends: each stretch is then disturbed, or is not, from its beginning to its end.
        inner = edges[bisect.bisect_right(edges, last) : bisect.bisect_left(edges, upcoming)]
        cut = [last, *inner, upcoming]
        found += [(end - begin, end) for begin, end in zip(cut, cut[1:], strict=False) if not _struck(begin, end, strikes)]
    return found


def evaluate(
    watch: TrafficRecorder,
    cloud: ObservedAlerts,
    strikes: list[ScheduledFault],
    offline: dict[str, list[reference_results.Evaluated]],
    options: Any,
    starts: dict[str, int],
    lengths: dict[str, int],
    until_s: float,
) -> Verdict:
    """
    Args:
        offline: what the scorer says of the rows that went in, by asset.
        options: of the policy.
        starts: how often each component was started.
        lengths: how many rows each asset's source has.
        until_s: when the sources had ended.
    """
    verdict = Verdict()
    _rows(verdict, watch, lengths)
    certain, possible = _by_policy(watch, options)
    _alerts(verdict, "alerts_lost", certain, possible, watch.alerts, raised_only=False)
    _alerts(verdict, "cloud_alerts_lost", certain, possible, cloud, raised_only=True)
    wanted: dict[str, Alarm] = {}
    for asset, judged in offline.items():
        wanted |= reference_results.raised(reference_results.alerts(asset, watch.model, judged, options).values())
    given = reference_results.raised(possible.values())
    verdict.count(
        "alarms_missed",
        [
            Violation(until_s, f"offline, an alarm of {alarm.asset} is raised, and none was near it")
            for alarm in reference_results.missed(wanted, given, NEAR_S)
        ],
    )
    verdict.figures |= {
        "alarms": len(given),
        "alerts": len(certain),
        "cloud_alerts": len(cloud.told),
        "alerts_about_the_suite": sum(told.model.startswith(PREFIX) for told in watch.alerts.told.values()),
        "rows": sum(len(each.rows) for each in watch.rows.values()),
    }
    _repeats(verdict, watch.alerts, cloud, starts[DISPATCHER] - 1, len(strikes), until_s)
    _commands(verdict, watch, until_s)
    _silence(verdict, watch, strikes, until_s)
    if watch.unreadable:
        verdict.violations.append(Violation(until_s, f"{watch.unreadable} messages could not be read"))
    return verdict


def _by_policy(watch: TrafficRecorder, options: Any) -> tuple[dict[AlertKey, Alarm], dict[AlertKey, Alarm]]:
    """What the policy makes of the results that were said, certainly and possibly.

    A restarted Inference may say a row's result again, by windows that were filled anew. AlertDispatcher takes the one that it hears
    first, which may be either: certain is what follows from the first ones and from the last ones alike.
    """
    certain: dict[AlertKey, Alarm] = {}
    possible: dict[AlertKey, Alarm] = {}
    for asset, said in watch.results.items():
        if asset == CLOCKED:
            continue  # its time goes back: what came first is not what is oldest
        ways = [
            reference_results.alerts(asset, watch.model, [(time, said[time][which][1]) for time in sorted(said)], options)
            for which in (0, -1)
        ]
        certain |= {key: alarm for key, alarm in ways[0].items() if key in ways[1]}
        possible |= ways[0] | ways[1]
    return certain, possible


def _rows(verdict: Verdict, watch: TrafficRecorder, lengths: dict[str, int]) -> None:
    came = {asset: len(watch.rows[asset].rows) if asset in watch.rows else 0 for asset in lengths}
    verdict.figures["rows_lost"] = sum(lengths[asset] - came[asset] for asset in lengths)
    verdict.violations += [
        Violation(0.0, f"{lengths[asset] - came[asset]} rows of {asset} never came") for asset in lengths if came[asset] != lengths[asset]
    ]
    verdict.figures["rows_unanswered"] = 0
    for asset, rows in watch.rows.items():
        if asset == CLOCKED:
            continue  # it never ends, and what it measured before its clock was set back is not wanted after a relaunch
        open_ones = sorted(rows.rows.keys() - watch.results.get(asset, {}).keys())
        verdict.figures["rows_unanswered"] += len(open_ones)
        if open_ones:
            first, last = ((time - min(rows.rows)) // SECOND for time in (open_ones[0], open_ones[-1]))
            verdict.violations.append(Violation(0.0, f"{len(open_ones)} rows of {asset} from row {first} to {last} have no result"))


def _alerts(
    verdict: Verdict, name: str, certain: dict[AlertKey, Alarm], possible: dict[AlertKey, Alarm], heard: ObservedAlerts, raised_only: bool
) -> None:
    where = "IoT Core" if raised_only else "the local topic"
    lost = [
        Violation(0.0, f"the alert {state} of {alarm.asset}, alarm {id}, did not come to {where}")
        for (id, state), alarm in certain.items()
        if (id, state) not in heard.told and (alarm.raised_at is not None or not raised_only)
    ]
    verdict.count(name, lost)
    odd = [
        Violation(told.first_s, f"the alert {state} of {told.asset}, alarm {id}, came to {where} and follows from no result")
        for (id, state), told in heard.told.items()
        if (id, state) not in possible and told.asset != CLOCKED and not told.model.startswith(PREFIX)
    ]
    verdict.count(name.replace("lost", "odd"), odd)


def _repeats(verdict: Verdict, local: ObservedAlerts, cloud: ObservedAlerts, relaunches: int, faults: int, until_s: float) -> None:
    # A relaunch between sending and noting it costs a repeat. To IoT Core, so does each fault that keeps the proof of delivery away.
    for name, heard, allowed in (("duplicates", local, relaunches), ("cloud_duplicates", cloud, faults)):
        verdict.figures[name] = heard.repeated
        for (id, state), told in heard.told.items():
            if told.repeated > allowed:
                sentence = f"the alert {state} of alarm {id} came {told.repeated} times again where {allowed} could be ({name})"
                verdict.violations.append(Violation(told.first_s, sentence))
    verdict.figures["dispatcher_relaunches"] = relaunches
    if local.repeated > relaunches:
        verdict.violations.append(Violation(until_s, f"{local.repeated} local alerts came twice, with {relaunches} relaunches"))


def _commands(verdict: Verdict, watch: TrafficRecorder, until_s: float) -> None:
    twice, late, untold = [], [], []
    for id, acks in watch.acks.items():
        moments = {ack.at for ack in acks if ack.status == "executed"}
        if len(moments) > 1:
            twice.append(Violation(until_s, f"the command {id} was executed at {' and at '.join(sorted(moments))}"))
    for asset, (stopped, wanted) in _stops(watch).items():
        if stopped > wanted:
            twice.append(Violation(until_s, f"{asset} was stopped {stopped} times by {wanted} commands"))
    for id, command in watch.commands.items():
        if not command.alarm or command.action != "stop":
            continue
        done = watch.executed.get(id)
        if done is not None and isinstance(command.issued_monotonic_s, float):
            by = done - (command.issued_monotonic_s + command.timeout_s)
            if by > 0.1:
                late.append(Violation(until_s, f"the command {id} was executed {by:.2f} s after its deadline"))
        if done is None and not watch.alerts.notes(command.alarm):
            untold.append(Violation(until_s, f"the command {id} was not executed, and no alert says so"))
    verdict.count("commands_executed_twice", twice)
    verdict.count("commands_late", late)
    verdict.count("commands_untold", untold)
    verdict.figures["commands"] = sum(bool(each.alarm) and each.action == "stop" for each in watch.commands.values())
    verdict.figures["commands_executed"] = sum(
        id in watch.executed for id, each in watch.commands.items() if each.alarm and each.action == "stop"
    )


def _stops(watch: TrafficRecorder) -> dict[str, tuple[int, int]]:
    """By asset: how often its motor went off, by its rows, and how many stop commands say that they were executed."""
    found = {}
    for asset, rows in watch.rows.items():
        channel = rows.channels.index("current")
        off = [float(rows.rows[time][0][channel]) < 0.1 for time in sorted(rows.rows)]
        went = sum(now and not before for before, now in zip(off, off[1:], strict=False))
        done = sum(each.asset == asset and each.action == "stop" and id in watch.executed for id, each in watch.commands.items())
        found[asset] = (went, done)
    return found


def _silence(verdict: Verdict, watch: TrafficRecorder, strikes: list[ScheduledFault], until_s: float) -> None:
    longest = 0.0
    for topic, moments in watch.flow.items():
        for seconds, at_s in silences([at for at in moments if at <= until_s] or [0.0], strikes, until_s):
            longest = max(longest, seconds)
            if seconds > SILENCE_S:
                verdict.violations.append(Violation(at_s, f"{topic} was silent for {seconds:.1f} s with no fault active"))
    for (id, state), told in watch.alerts.told.items():
        said = [at for at, _ in watch.results.get(told.asset, {}).get(_ns(told.event_at), ())]
        if said and said[0] < told.first_s:
            wait = max(seconds for seconds, _ in silences([said[0]], strikes, told.first_s) or [(0.0, 0.0)])
            longest = max(longest, wait)
            if wait > SILENCE_S:
                verdict.violations.append(Violation(told.first_s, f"the alert {state} of alarm {id} came {wait:.1f} s after its result"))
    verdict.figures["longest_silence_s"] = round(longest, 2)


def _struck(begin: float, end: float, strikes: list[ScheduledFault]) -> bool:
    """Whether a fault is active all through."""
    return any(strike.at <= begin and strike.at + strike.lasts_s >= end and strike.lasts_s for strike in strikes)


def _ns(text: str) -> int:
    return round(from_iso(text) / SECOND) * SECOND
