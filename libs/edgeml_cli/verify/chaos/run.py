"""One run: the deployed pipeline under one seed's faults. `python -m edgeml_cli.verify.chaos.run` prints progress, and its result as the last line."""

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
from edgeml_cli.verify.chaos.judge import DISPATCHER, Verdict, Violation, evaluate
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
"""After the sources' planned end: for what is late to come out. What has not come by then is lost."""
SETTLED_S = 3.0
STRIKE_AGAIN_S = 0.5
STRIKE_TRIES = 10
LISTENERS = ("com.edgeml.Inference", DISPATCHER)


class Run:
    """
    Args:
        seconds: how long it is disturbed.
        say: is told of progress.
        scenario: faults planned by hand; None: at random, by the seed.
    """

    def __init__(
        self, seed: int, seconds: float, place: Workspace, say: Callable[[str], None], name: str = "", scenario: Scenario | None = None
    ) -> None:
        self.seed, self.seconds = seed, seconds
        self._place, self._say, self._scenario = place, say, scenario
        root = place.root(name or f"seed-{seed}")
        self._control = root / "wire"
        self.nucleus = Nucleus(root, profile=place.profile, thing_name=THING, echo=self._echo, shim=SHIM)
        self.watch, self.struck = TrafficRecorder(), list[ScheduledFault]()
        self._heard: queue.SimpleQueue[tuple[Delivery, float]] = queue.SimpleQueue()
        self._operator = SimulatedOperator()
        self._began = self._began_wall = 0.0

    def go(self) -> Verdict:
        """Deploy, disturb, wait until all has come out, compare."""
        start_time = to_iso(time.time_ns())
        if self._scenario is None:
            made = [*machines(self.seed, self.seconds, start_time), clocked(self.seed, start_time, self._control)]
            strikes = schedule(self.seed, self.seconds, list(COMPONENTS), SHIM)
        else:
            made, strikes = self._scenario.make(self.seed, self.seconds, start_time), list(self._scenario.strikes)
        learned = self._scenario is None or self._scenario.learned
        baselines = learn(made, self.nucleus.work_dir("com.edgeml.Inference")) if learned else {}
        with self.nucleus:
            self.nucleus.tap(lambda delivery: self._heard.put((delivery, time.monotonic())))
            self._began, self._began_wall = time.monotonic(), time.time()
            self._deploy(made)
            self._began, self._began_wall = time.monotonic(), time.time()
            self._disturb(strikes)
            until_s = self._drain(made)
            options = read(PolicyOptions, self.nucleus.component(DISPATCHER).configuration["policy"], "policy")
            starts = {name: self.nucleus.component(name).starts for name in COMPONENTS}
            cloud = self._cloud(options)
            broken = [f"{each.name} is BROKEN ({each.detail})" for each in self.nucleus.components() if each.state == BROKEN]
        bundle = Bundle.load(BUNDLE)
        offline = {
            name: reference_results.results(rows, bundle, baselines.get(name)) for name, rows in self.watch.rows.items() if name != CLOCKED
        }
        verdict = evaluate(self.watch, cloud, self.struck, offline, options, starts, _lengths(made), until_s)
        verdict.violations += [Violation(until_s, sentence) for sentence in broken]
        return verdict

    def _deploy(self, made: list[Machine]) -> None:
        # What is expected follows from confidences alone, so nothing is to wait for what else is seen of a machine.
        config = {SOURCE: {"merge": source_config(made)}, DISPATCHER: {"merge": {"policy": {"settle_s": 0}}}}
        recipes, artifacts = self._place.built / "recipes", self._place.built / "artifacts"
        # First who listens, so that event time begins when everybody is there.
        for names in (LISTENERS, (SOURCE,)):
            own = {name: update for name, update in config.items() if name in names}
            self.nucleus.deploy(recipes, artifacts, dict.fromkeys(names, self._place.version), own)
            for name in names:
                self.nucleus.wait_for_state(name, RUNNING, timeout=120)
        if not any(each.name == CLOCKED for each in made):
            del self.watch.flow[CLOCKED]
        if not self._until(lambda: len(self.watch.rows) == len(made), 60.0):
            missing = {each.name for each in made} - self.watch.rows.keys()
            raise RuntimeError(f"no row came of {', '.join(sorted(missing))} within 60 s; see the log of {SOURCE}")

    def _disturb(self, strikes: list[ScheduledFault]) -> None:
        with ThreadPoolExecutor(8) as pool:
            for strike in strikes:
                self._until(lambda: False, strike.at - self._now())
                pool.submit(self._strike, strike)
        self._until(lambda: False, self.seconds - self._now())

    def _strike(self, strike: ScheduledFault) -> None:
        for _ in range(STRIKE_TRIES):
            try:
                at = self._now()
                if strike.name in MACHINE_FAULTS:
                    with self._control.open("a") as control:
                        control.write(f"{MACHINE_FAULTS[strike.name]} {strike.options['by_s']}\n")
                else:
                    self.nucleus.fault(strike.name, **strike.options)
                break
            except NucleusError:  # the component is just being launched anew
                time.sleep(STRIKE_AGAIN_S)
        else:
            return
        self.struck.append(ScheduledFault(round(at, 2), strike.name, strike.options, strike.lasts_s))
        told = " ".join(f"{key}={value}" for key, value in strike.options.items())
        self._say(f"{at:6.1f} s  {strike.name} {told}")

    def _drain(self, made: list[Machine]) -> float:
        """Returns when the sources had ended, but for the one that never does."""
        lengths = _lengths(made)

        def ended() -> bool:
            return all(self.watch.length_s(name) >= seconds - 1 for name, seconds in lengths.items()) and not self.watch.unanswered

        self._until(ended, DRAIN_S)
        until_s = self._now()
        self._until(lambda: False, SETTLED_S)
        return until_s

    def _cloud(self, options: PolicyOptions) -> ObservedAlerts:
        """What came to IoT Core once nothing is missing there any more, or the time is up."""

        def arrived() -> ObservedAlerts:
            return cloud_alerts(self.nucleus.root.iot_record, THING, self._began_wall)

        def complete() -> bool:
            there = arrived().told
            return all(key in there for key, told in self.watch.alerts.told.items() if told.raised)

        self._until(complete, DRAIN_S, every_s=1.0)
        return arrived()

    def _until(self, holds: Callable[[], bool], timeout: float, every_s: float = 0.05) -> bool:
        """Let it run, command what a person would, until `holds()` or the time is up."""
        give_up = time.monotonic() + timeout
        asked = 0.0
        while (now := time.monotonic()) < give_up:
            try:
                self._take(*self._heard.get(timeout=min(0.05, give_up - now)))
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
            message = self.watch.take(delivery.topic, delivery.payload, delivery.sender, at - self._began)
            if message is not None:
                self._operator.observe(message)

    def _echo(self, component: str, line: str) -> None:
        if component == SOURCE:
            self.watch.hear(line, time.monotonic())

    def _now(self) -> float:
        return time.monotonic() - self._began


def _lengths(made: list[Machine]) -> dict[str, int]:
    """Event seconds of each source that ends."""
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
    verdict = run.go()
    result: dict[str, Any] = {
        "seed": given.seed,
        "faults": dict(Counter(strike.name for strike in run.struck)),
        "figures": verdict.figures,
        "violations": [[round(each.at_s, 1), each.sentence] for each in verdict.violations],
    }
    print(json.dumps(result), flush=True)
    return 1 if verdict.violations else 0


if __name__ == "__main__":
    sys.exit(main())
