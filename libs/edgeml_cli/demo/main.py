"""Runs the suite on a local nucleus and shows what it does: `edgeml demo`.

Exit code: 0: everything came as it should; 1: something did not; 2: the input or the command line is wrong; 130: interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any, Protocol

from edgeml.errors import BundleError
from edgeml.model.bundle import Bundle
from edgeml.timestamps import SECOND, to_iso
from edgeml_cli.build.model_component import package
from edgeml_cli.build.package import ROOT, BuildError, Project, build
from edgeml_cli.demo import html_report
from edgeml_cli.demo.live_view import LiveView, is_usable
from edgeml_cli.demo.nucleus_session import NucleusSession, SessionError
from edgeml_cli.demo.recorder import Event, Recorder
from edgeml_cli.demo.replay import SPEED as REPLAY_SPEED
from edgeml_cli.demo.replay import ReplayError, replayed
from edgeml_cli.demo.run_monitor import SOURCE, RunMonitor
from edgeml_cli.demo.scenario import FAULTS, SPEED, Scenario, onset_remark, recorded, simulated
from edgeml_cli.demo.statistics import Statistics, summary
from edgeml_cli.demo.summary import plural, summary_lines, wrapped
from edgeml_cli.demo.text_view import TextView
from gglocal.cli.arguments import number, whole
from gglocal.errors import GglocalError
from gglocal.profile import PROFILES

SHIPPED_BUNDLE = ROOT / "model_training" / "bundles" / "pump_anomaly"
POLL_TIMEOUT_S = 0.1
"""Seconds to wait for a message before the loop does its other work."""
STATE_CHECK_INTERVAL_S = 1.0
"""Seconds between two checks of the components' states."""


class View(Protocol):
    """Shows a run while it is in progress: `text_view.TextView` or `live_view.LiveView`."""

    def show_event(self, event: Event) -> None: ...

    def refresh(self, now: float) -> None: ...

    def close(self) -> None: ...


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code."""
    arguments = _parsed(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        return _run(arguments, _scenario(arguments))
    except ReplayError as fault:
        print(f"edgeml demo: {fault}", file=sys.stderr)
        return 2
    except (BuildError, BundleError, SessionError, GglocalError) as fault:
        print(f"edgeml demo: {fault}", file=sys.stderr)
        return 1
    except OSError as fault:
        print(f"edgeml demo: {fault.filename or arguments.out}: {fault.strerror or fault}; correct this and start again", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("edgeml demo: interrupted; all processes have been stopped", file=sys.stderr)
        return 130


def _parsed(argv: list[str] | None) -> argparse.Namespace:
    """The options; ends the process if they do not fit together."""
    command_line = parser()
    arguments = command_line.parse_args(argv)
    if (arguments.bundle is None) != (arguments.data is None):
        command_line.error("--bundle and --data need each other; name a bundle and the recordings that it scores")
    if arguments.bundle is not None and arguments.recording is not None:
        command_line.error("--recording is scored by the model that ships; leave it out, or leave out --bundle and --data")
    if arguments.bundle is None and (arguments.spec is not None or (arguments.speed or 1) > 1000):
        command_line.error("--spec, and a --speed of more than 1000, are for --data; leave them out")
    return arguments


def _run(arguments: argparse.Namespace, scenario: Scenario) -> int:
    started_at = time.monotonic()
    _print_line(f"edgeml demo: {scenario.title}")
    _print_line(scenario.pace)
    built = arguments.out / "greengrass-build"
    build(ROOT, built)
    if scenario.bundle is not None:
        package(scenario.bundle, ROOT, built)
    with NucleusSession(arguments.out, built, Project.read(ROOT).version, arguments.profile, _print_line) as session:
        _print_line("Starting the local nucleus and installing the three components.")
        if not session.is_installed:
            _print_line("The first run downloads Python packages, which takes a minute or two.")
        session.deploy(scenario.config, scenario.component)
        _print_line(f"All components are running after {time.monotonic() - started_at:.0f} s.")
        started_at = time.monotonic()
        thresholds = _thresholds(session, scenario.bundle or SHIPPED_BUNDLE)
        monitor, problems = _monitor_run(session, scenario, thresholds, arguments.headless)
    input_faults = _input_faults(monitor)
    problems = [*input_faults, *problems, *_find_problems(scenario, monitor)]
    return _finish(arguments, scenario, monitor, thresholds, problems, 2 if input_faults else 1, time.monotonic() - started_at)


def _monitor_run(
    session: NucleusSession, scenario: Scenario, thresholds: tuple[float, float], headless: bool
) -> tuple[RunMonitor, list[str]]:
    """Show the run until it is over.

    Returns:
        The monitor, and one sentence for each failure of the nucleus or its components.
    """
    recorder, stats = Recorder(span_s=scenario.span_s), Statistics()
    view: View = (
        TextView(recorder, stats)
        if headless or not is_usable(sys.stdout)
        else LiveView(f"edgeml demo: {scenario.title}", thresholds, recorder, stats)
    )
    monitor = RunMonitor(recorder, stats, view.show_event)
    deadline = time.monotonic() + scenario.limit_s
    next_check = 0.0
    try:
        while True:
            delivery = session.next(POLL_TIMEOUT_S)
            now = time.monotonic()
            if delivery is not None:
                monitor.handle(delivery.topic, delivery.payload, delivery.sender, now)
            for command in monitor.due(now, time.time_ns()):
                session.publish(command)
            view.refresh(now)
            if delivery is None and monitor.is_over(now):
                return monitor, []
            if now >= next_check:
                next_check = now + STATE_CHECK_INTERVAL_S
                broken = session.broken()
                if broken:
                    return monitor, broken
            if now >= deadline:
                return monitor, [f"the run did not end within {scenario.limit_s:.0f} s; see the logs in {session.nucleus.root.logs}"]
    finally:
        view.close()


def _find_problems(scenario: Scenario, monitor: RunMonitor) -> list[str]:
    """One sentence for each difference from the expected outcome."""
    stats, problems = monitor.stats, []
    if monitor.faulty:
        return []
    if scenario.rows is not None and stats.rows != scenario.rows:
        problems.append(f"{plural(stats.rows, 'row')} published, expected {scenario.rows}")
    if stats.gaps:
        problems.append(f"{plural(stats.gaps, 'numbered message')} never arrived")
    if stats.rows_without_result:
        problems.append(f"{plural(stats.rows_without_result, 'row')} without a result")
    if monitor.unreadable:
        problems.append(f"{plural(monitor.unreadable, 'message')} could not be decoded")
    return problems + scenario.expect(stats)


def _input_faults(monitor: RunMonitor) -> list[str]:
    return [fault for component, faults in monitor.faults.items() for fault in faults if monitor.faulty or component == SOURCE]


def _finish(
    arguments: argparse.Namespace,
    scenario: Scenario,
    monitor: RunMonitor,
    thresholds: tuple[float, float],
    problems: list[str],
    failure_code: int,
    duration_s: float,
) -> int:
    """Write the report, print the summary and return the exit code."""
    stats = monitor.stats
    remarks = [remark for remark in (onset_remark(scenario.onset, stats.raised), *_unacknowledged(stats)) if remark]
    # A failed run does not overwrite the report of the last successful one.
    path = Path(os.path.relpath(arguments.out / ("report-failed.html" if problems else "report.html")))
    counts: dict[str, Any] = {
        **summary(stats),
        "scenario": scenario.title,
        "as_expected": not problems,
        "problems": problems,
        "duration_s": round(duration_s, 1),
        "report": str(path),
    }
    command = shlex.join(["scripts/demo", *_scenario_options(arguments)])
    run = html_report.Run(
        scenario.title,
        command,
        thresholds,
        monitor.recorder,
        stats,
        counts,
        tuple(problems),
        duration_s,
        scenario.onset,
        tuple(remarks),
        scenario.pace,
        scenario.notes,
    )
    temporary = path.with_suffix(".html.new")
    temporary.write_text(html_report.render(run), encoding="utf-8")
    temporary.replace(path)
    if not problems:
        (arguments.out / "report-failed.html").unlink(missing_ok=True)
    for line in summary_lines(counts, monitor.recorder.dated):
        _print_line(f"  {line}")
    for remark in remarks:
        _print_line(remark)
    verdict = "The run did not go as expected" if problems else "The run went as expected"
    _print_line(f"{verdict} and took {duration_s:.0f} s. Plots and event log: {path}")
    for problem in problems:
        print(f"edgeml demo: {problem}", file=sys.stderr, flush=True)
    print(json.dumps(counts, ensure_ascii=False), flush=True)
    return failure_code if problems else 0


def _unacknowledged(stats: Statistics) -> list[str]:
    return [
        f"{command.asset} did not acknowledge the {command.action} command within {command.timeout_s:g} s."
        for command in stats.commands.values()
        if not command.status
    ]


def _thresholds(session: NucleusSession, bundle: Path) -> tuple[float, float]:
    """The confidences at which alarms of a bundle's model are cleared and raised."""
    configured = session.configuration("com.edgeml.AlertDispatcher")
    policy = configured["policy"] | configured["policy_by_model"].get(Bundle.load(bundle).manifest.name, {})
    return float(policy["clear_at"]), float(policy["raise_at"])


def _scenario(arguments: argparse.Namespace) -> Scenario:
    if arguments.recording is not None:
        return recorded(arguments.recording)
    if arguments.bundle is not None:
        speed = REPLAY_SPEED if arguments.speed is None else arguments.speed
        return replayed(arguments.bundle, arguments.data, arguments.spec, speed, arguments.out / "replay")
    start_ns = time.time_ns() // SECOND * SECOND
    return simulated(arguments.fault, arguments.seed, start_ns, to_iso(start_ns), arguments.speed or SPEED)


def _scenario_options(arguments: argparse.Namespace) -> list[str]:
    """The options that repeat the scenario."""
    if arguments.recording is not None:
        return ["--recording", str(arguments.recording)]
    speed = [] if arguments.speed is None else ["--speed", f"{arguments.speed:g}"]
    if arguments.bundle is not None:
        spec = [] if arguments.spec is None else ["--spec", str(arguments.spec)]
        return ["--bundle", str(arguments.bundle), "--data", *map(str, arguments.data), *spec, *speed]
    return ["--fault", arguments.fault, "--seed", str(arguments.seed), *speed]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="edgeml demo",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="A machine's sensors in, a TFLite verdict, an alert out: on a local nucleus, without an AWS account.",
    )
    made.add_argument("--fault", choices=tuple(FAULTS), default="valve", help="what happens to the simulated pump")
    made.add_argument("--seed", type=whole(0, 2**32 - 1), default=1, help="which simulated pump")
    made.add_argument(
        "--speed",
        type=number(1, 1_000_000),
        default=None,
        help=f"event seconds a second; without it {SPEED:g} for the simulated pump, as fast as possible with --data",
    )
    made.add_argument("--recording", type=Path, metavar="FILE.csv", help="a recording in SKAB's layout instead, as fast as it goes")
    made.add_argument("--bundle", type=Path, metavar="DIR", help="a signed bundle of your own, to score the rows of --data instead")
    made.add_argument("--data", type=Path, nargs="+", metavar="FILE", help="recordings of any layout, with the channels of the bundle")
    made.add_argument("--spec", type=Path, metavar="FILE", help="YAML file that corrects the reading of --data")
    made.add_argument("--headless", action="store_true", help="plain lines instead of the live view")
    made.add_argument("--profile", choices=tuple(PROFILES), default="lite", help="which nucleus to stand in for")
    made.add_argument("--out", type=Path, default=ROOT / "build" / "demo", help="where the report, the logs and the nucleus are kept")
    return made


def _print_line(text: str) -> None:
    """Print one line; on a terminal, wrap it between words."""
    print(wrapped(text, shutil.get_terminal_size().columns, 2) if sys.stdout.isatty() else text, flush=True)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
