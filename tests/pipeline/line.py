"""The whole pipeline, as built zips on the local nucleus, and one run of it followed to its end."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from edgeml.messages import encode, topics
from edgeml.timestamps import from_iso
from edgeml_cli.demo.recorder import Recorder
from edgeml_cli.demo.run_monitor import RunMonitor
from edgeml_cli.demo.scenario import ASSET, Scenario, simulated
from edgeml_cli.demo.statistics import Statistics
from gglocal.api.nucleus import Nucleus
from gglocal.core.state import Delivery

COMPONENTS = ("com.edgeml.SensorIngestion", "com.edgeml.Inference", "com.edgeml.AlertDispatcher")
START = "2026-01-01T00:00:00Z"
THING = "line-1"


class Line:
    """The suite in a root of its own, with the components' virtual environments already made."""

    def __init__(self, root: Path, built: Path, venvs: dict[str, Path], **options: Any) -> None:
        for component, venv in venvs.items():
            work = root / "work" / component
            work.mkdir(parents=True)
            (work / "venv").symlink_to(venv)
        self.built = built
        self.heard: queue.Queue[Delivery] = queue.Queue()
        self.nucleus = Nucleus(root, thing_name=THING, **options)
        self.nucleus.start()
        self.nucleus.tap(self.heard.put)

    def deploy(self, config: dict[str, Any], version: str) -> None:
        self.nucleus.deploy(
            self.built / "recipes",
            self.built / "artifacts",
            dict.fromkeys(COMPONENTS, version),
            {name: {"merge": values} for name, values in config.items()},
        )

    def close(self) -> None:
        self.nucleus.stop()

    def log(self, component: str) -> str:
        path = self.nucleus.log_file(component)
        return path.read_text() if path.exists() else ""

    def until(self, holds: Callable[[], bool], timeout: float, what: str) -> None:
        """Let the pipeline run until `holds()`, asked at each message and 20 times a second."""
        give_up = time.monotonic() + timeout
        while not holds():
            assert time.monotonic() < give_up, f"{what} did not come within {timeout:g} s"
            try:
                self.heard.get(timeout=0.05)
            except queue.Empty:
                continue

    def follow(
        self,
        scenario: Scenario,
        on_message: Callable[[RunMonitor, Delivery], None] | None = None,
        expected: str = "no fault",
        apart: str = "",
    ) -> Statistics:
        """Run until the end; send the commands of a person.

        Args:
            on_message: called after each message, with what is known so far.
            expected: what the components' faults at the end must contain, where there are any.
            apart: a component whose messages are not counted.
        """
        tally = Statistics()
        course = RunMonitor(Recorder(), tally, lambda event: None)
        give_up = time.monotonic() + scenario.limit_s
        while not course.is_over(time.monotonic()):
            assert time.monotonic() < give_up, f"not over after {scenario.limit_s:g} s; faults {course.faults}"
            try:
                delivery = self.heard.get(timeout=0.05)
            except queue.Empty:
                delivery = None
            if delivery is not None and delivery.kind == "local" and not (apart and delivery.sender == apart):
                course.handle(delivery.topic, delivery.payload, delivery.sender, time.monotonic())
                if on_message is not None:
                    on_message(course, delivery)
            for command in course.due(time.monotonic(), time.time_ns()):
                self.nucleus.publish(topics.COMMANDS, encode(command), signed=True)
        assert all(expected in fault for faults in course.faults.values() for fault in faults), course.faults
        return tally


def valve(speed: float, duration_s: float = 1300.0, seed: int = 1) -> Scenario:
    """The demo's valve scenario, at another speed, with a capture around alarms."""
    scenario = simulated("valve", seed, from_iso(START), START)
    scenario.config["com.edgeml.SensorIngestion"]["capture"] = {"mode": "alarms"}
    options = scenario.config["com.edgeml.SensorIngestion"]["assets"][ASSET]["options"]
    options |= {"speed": speed, "duration_s": duration_s}
    return scenario


def access(built: Path, version: str, component: str) -> dict[str, Any]:
    """`accessControl` of a built recipe."""
    recipe = yaml.safe_load((built / "recipes" / f"{component}-{version}.yaml").read_text())
    return recipe["ComponentConfiguration"]["DefaultConfiguration"]["accessControl"]
