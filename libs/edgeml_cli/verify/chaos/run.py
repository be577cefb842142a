"""Runs the deployed pipeline with one seed's faults: `python -m edgeml_cli.verify.chaos.run` prints progress, then its result as JSON."""

from __future__ import annotations

import argparse
import json
import queue
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from edgeml.alarms.alarm_policy import PolicyOptions
from edgeml.config.schema import read
from edgeml.messages import encode, topics
from edgeml.model.bundle import Bundle
from edgeml.timestamps import to_iso
from edgeml_cli.build.package import COMPONENTS
from edgeml_cli.demo.simulated_operator import SimulatedOperator
from edgeml_cli.verify.chaos import reference_results
from edgeml_cli.verify.chaos.fault_schedule import MACHINE_FAULTS, ScheduledFault, schedule
from edgeml_cli.verify.chaos.invariants import DISPATCHER, Evaluation, Violation, evaluate
from edgeml_cli.verify.chaos.machines import BUNDLE, CLOCKED, Machine, clocked, learn, machines, source_config
from edgeml_cli.verify.chaos.scenarios import SCENARIOS, Scenario
from edgeml_cli.verify.chaos.traffic_recorder import ObservedAlerts, TrafficRecorder, cloud_alerts
from edgeml_cli.verify.chaos.workspace import Workspace, silence_gglocal
from gglocal.api.nucleus import Nucleus
from gglocal.core.state import Delivery
from gglocal.errors import NucleusError
from gglocal.process.component import BROKEN, RUNNING
from gglocal.process.preload import compiler

THING = "chaos"
SOURCE = "com.edgeml.SensorIngestion"
SHIM = compiler() is not None
DRAIN_S = 60.0
"""Time allowed after the planned end of the sources; messages that have not arrived by then count as lost."""
SETTLE_S = 3.0
INJECT_RETRY_S = 0.5
INJECT_ATTEMPTS = 10
SUBSCRIBERS = ("com.edgeml.Inference", DISPATCHER)


class Run:
    """One chaos run.

    Args:
        seconds: duration of the disturbance.
        say: called with each line of progress.
        scenario: planned faults; None schedules random faults by the seed.
    """

    def __init__(
        self, seed: int, seconds: float, place: Workspace, say: Callable[[str], None], name: str = "", scenario: Scenario | None = None
    ) -> None:
        self.seed, self.seconds = seed, seconds
        self._place, self._say, self._scenario = place, say, scenario
        root = place.root(name or f"seed-{seed}")
        self._control = root / "wire"
        self.nucleus = Nucleus(root, profile=place.profile, thing_name=THING, echo=self._echo, shim=SHIM)
        self.traffic, self.injected = TrafficRecorder(), list[ScheduledFault]()
        self._deliveries: queue.SimpleQueue[tuple[Delivery, float]] = queue.SimpleQueue()
        self._operator = SimulatedOperator()
        self._began = self._began_wall = 0.0

    def go(self) -> Evaluation:
        """Deploy, inject faults, wait until the pipeline has drained, and check the invariants."""
        start_time = to_iso(time.time_ns())
        if self._scenario is None:
            made = [*machines(self.seed, self.seconds, start_time), clocked(self.seed, start_time, self._control)]
            scheduled = schedule(self.seed, self.seconds, list(COMPONENTS), SHIM)
        else:
            made, scheduled = self._scenario.make(self.seed, self.seconds, start_time), list(self._scenario.scheduled)
        learned = self._scenario is None or self._scenario.learned
        baselines = learn(made, self.nucleus.work_dir("com.edgeml.Inference")) if learned else {}
        with self.nucleus:
            self.nucleus.tap(lambda delivery: self._deliveries.put((delivery, time.monotonic())))
            self._began, self._began_wall = time.monotonic(), time.time()
            self._deploy(made)
            self._began, self._began_wall = time.monotonic(), time.time()
            self._disturb(scheduled)
            until_s = self._drain(made)
            bundle = Bundle.load(BUNDLE)
            configured = self.nucleus.component(DISPATCHER).configuration
            own = configured.get("policy_by_model", {}).get(bundle.manifest.name, {})
            options = read(PolicyOptions, {**configured["policy"], **own}, "policy")
            starts = {name: self.nucleus.component(name).starts for name in COMPONENTS}
            cloud = self._cloud(options)
            broken = [f"{each.name} is BROKEN ({each.detail})" for each in self.nucleus.components() if each.state == BROKEN]
        offline = {
            name: reference_results.results(rows, bundle, baselines.get(name))
            for name, rows in self.traffic.rows.items()
            if name != CLOCKED
        }
        evaluation = evaluate(self.traffic, cloud, self.injected, offline, options, starts, _lengths(made), until_s)
        evaluation.violations += [Violation(until_s, sentence) for sentence in broken]
        return evaluation

    def _deploy(self, made: list[Machine]) -> None:
        # The reference depends on confidences only, so the policy must not wait for the machine to settle.
        config = {SOURCE: {"merge": source_config(made)}, DISPATCHER: {"merge": {"policy": {"settle_s": 0}}}}
        recipes, artifacts = self._place.built / "recipes", self._place.built / "artifacts"
        # Start the subscribers first, so that no component misses the first row.
        for names in (SUBSCRIBERS, (SOURCE,)):
            own = {name: update for name, update in config.items() if name in names}
            self.nucleus.deploy(recipes, artifacts, dict.fromkeys(names, self._place.version), own)
            for name in names:
                self.nucleus.wait_for_state(name, RUNNING, timeout=120)
        if not any(each.name == CLOCKED for each in made):
            del self.traffic.flow[CLOCKED]
        if not self._until(lambda: len(self.traffic.rows) == len(made), 60.0):
            missing = {each.name for each in made} - self.traffic.rows.keys()
            raise RuntimeError(f"no rows of {', '.join(sorted(missing))} arrived within 60 s; see the log of {SOURCE}")

    def _disturb(self, scheduled: list[ScheduledFault]) -> None:
        with ThreadPoolExecutor(8) as pool:
            for fault in scheduled:
                self._until(lambda: False, fault.at - self._now())
                pool.submit(self._inject, fault)
        self._until(lambda: False, self.seconds - self._now())

    def _inject(self, fault: ScheduledFault) -> None:
        for _ in range(INJECT_ATTEMPTS):
            try:
                at = self._now()
                if fault.name in MACHINE_FAULTS:
                    with self._control.open("a") as control:
                        control.write(f"{MACHINE_FAULTS[fault.name]} {fault.options['by_s']}\n")
                else:
                    self.nucleus.fault(fault.name, **fault.options)
                break
            except NucleusError:  # the component is being relaunched
                time.sleep(INJECT_RETRY_S)
        else:
            return
        self.injected.append(ScheduledFault(round(at, 2), fault.name, fault.options, fault.duration_s))
        options = " ".join(f"{key}={value}" for key, value in fault.options.items())
        self._say(f"{at:6.1f} s  {fault.name} {options}")

    def _drain(self, made: list[Machine]) -> float:
        """Wait until the sources have finished, except the clocked machine's; returns the time."""
        lengths = _lengths(made)

        def ended() -> bool:
            return (
                all(self.traffic.length_s(name) >= seconds - 1 for name, seconds in lengths.items())
                and not self.traffic.rows_without_result
            )

        self._until(ended, DRAIN_S)
        until_s = self._now()
        self._until(lambda: False, SETTLE_S)
        return until_s

    def _cloud(self, options: PolicyOptions) -> ObservedAlerts:
        """The alerts in IoT Core once they are complete, or after a time-out."""

        def arrived() -> ObservedAlerts:
            return cloud_alerts(self.nucleus.root.iot_record, THING, self._began_wall)

        def complete() -> bool:
            there = arrived().by_key
            return all(key in there for key, alert in self.traffic.alerts.by_key.items() if alert.raised)

        self._until(complete, DRAIN_S, every_s=1.0)
        return arrived()

    def _until(self, holds: Callable[[], bool], timeout: float, every_s: float = 0.05) -> bool:
        """Process messages and send the operator's commands until `holds()` or the time-out."""
        give_up = time.monotonic() + timeout
        asked = 0.0
        while (now := time.monotonic()) < give_up:
            try:
                self._take(*self._deliveries.get(timeout=min(0.05, give_up - now)))
            except queue.Empty:
                pass
            for command in self._operator.due(time.monotonic(), time.time_ns()):
                self.nucleus.publish(topics.COMMANDS, encode(command), signed=True)
            if time.monotonic() - asked >= every_s:
                asked = time.monotonic()
                if holds():
                    return True
        return False

    def _take(self, delivery: Delivery, at: float) -> None:
        if delivery.kind == "local":
            message = self.traffic.take(delivery.topic, delivery.payload, delivery.sender, at - self._began)
            if message is not None:
                self._operator.observe(message)

    def _echo(self, component: str, line: str) -> None:
        if component == SOURCE:
            self.traffic.observe_log(line, time.monotonic())

    def _now(self) -> float:
        return time.monotonic() - self._began


def _lengths(made: list[Machine]) -> dict[str, int]:
    """Seconds of event time of each source that ends."""
    return {each.name: each.options["duration_s"] for each in made if each.name != CLOCKED}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds: dict[str, Any] = {"seed": int, "seconds": float, "profile": str, "place": Path}
    for name, kind in kinds.items():
        parser.add_argument(f"--{name}", type=kind, required=True)
    parser.add_argument("--scenario", choices=tuple(SCENARIOS))
    given = parser.parse_args()
    silence_gglocal()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    place = Workspace(given.place, given.profile)
    label = given.scenario or f"seed {given.seed:3d}"
    scenario = SCENARIOS.get(given.scenario or "")
    run = Run(given.seed, given.seconds, place, lambda line: print(f"{label}  {line}", flush=True), given.scenario or "", scenario)
    evaluation = run.go()
    result: dict[str, Any] = {
        "seed": given.seed,
        "faults": dict(Counter(fault.name for fault in run.injected)),
        "figures": evaluation.figures,
        "violations": [[round(each.at_s, 1), each.sentence] for each in evaluation.violations],
    }
    print(json.dumps(result), flush=True)
    return 1 if evaluation.violations else 0


if __name__ == "__main__":
    sys.exit(main())
