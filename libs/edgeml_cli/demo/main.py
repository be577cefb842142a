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

from edgeml.timestamps import SECOND, to_iso
from edgeml_cli.build.package import ROOT, BuildError, Project, build
from edgeml_cli.demo import html_report
from edgeml_cli.demo.live_view import LiveView, usable
from edgeml_cli.demo.nucleus_session import NucleusSession, SessionError
from edgeml_cli.demo.recorder import Event, Recorder
from edgeml_cli.demo.run_monitor import SOURCE, RunMonitor
from edgeml_cli.demo.scenario import FAULTS, SPEED, Scenario, onset_remark, recorded, simulated
from edgeml_cli.demo.statistics import Statistics, summary
from edgeml_cli.demo.summary import brief, many, wrapped
from edgeml_cli.demo.text_view import TextView
from gglocal.cli.arguments import number, whole
from gglocal.errors import GglocalError
from gglocal.profile import PROFILES

LOOK_S = 0.1
"""How long the loop waits for a message before it looks at what else is due."""
CHECK_S = 1.0
"""Between two looks at the states of the components."""


class View(Protocol):
    """What shows a run as it goes: `plain.TextView` and `live.LiveView`."""

    def say(self, text: str) -> None: ...

    def event(self, event: Event) -> None: ...

    def tick(self, now: float) -> None: ...

    def close(self) -> None: ...


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code."""
    arguments = parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        return _run(arguments, _scenario(arguments))
    except (BuildError, SessionError, GglocalError) as fault:
        print(f"edgeml demo: {fault}", file=sys.stderr)
        return 1
    except OSError as fault:
        print(f"edgeml demo: {fault.filename or arguments.out}: {fault.strerror or fault}; see to it and start again", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("edgeml demo: interrupted; everything is stopped", file=sys.stderr)
        return 130


def _run(arguments: argparse.Namespace, scenario: Scenario) -> int:
    begun = time.monotonic()
    _say(f"edgeml demo: {scenario.title}")
    _say(scenario.pace)
    built = arguments.out / "greengrass-build"
    build(ROOT, built)
    with NucleusSession(arguments.out, built, Project.read(ROOT).version, arguments.profile, _say) as stage:
        first = "" if stage.complete else "; the first time this downloads packages and takes a minute or two"
        _say(f"Setting up the local nucleus and the components{first}.")
        stage.deploy(scenario.config)
        _say(f"Set up in {time.monotonic() - begun:.0f} s.")
        begun = time.monotonic()
        levels = _levels(stage)
        course, problems = _follow(stage, scenario, levels, arguments.headless)
    wrong_input = _faults(course)
    problems = [*wrong_input, *problems, *_judge(scenario, course)]
    return _conclude(arguments, scenario, course, levels, problems, 2 if wrong_input else 1, time.monotonic() - begun)


def _follow(stage: NucleusSession, scenario: Scenario, levels: tuple[float, float], headless: bool) -> tuple[RunMonitor, list[str]]:
    """Watch until the run is over; what went wrong with the nucleus comes back beside it."""
    trace, tally = Recorder(), Statistics()
    view: View = (
        TextView(trace, tally) if headless or not usable(sys.stdout) else LiveView(f"edgeml demo: {scenario.title}", levels, trace, tally)
    )
    course = RunMonitor(trace, tally, view.event)
    limit = time.monotonic() + scenario.limit_s
    check = 0.0
    try:
        while True:
            delivery = stage.next(LOOK_S)
            now = time.monotonic()
            if delivery is not None:
                course.take(delivery.topic, delivery.payload, delivery.sender, now)
            for command in course.due(now, time.time_ns()):
                stage.publish(command)
            view.tick(now)
            if delivery is None and course.over(now):
                return course, []
            if now >= check:
                check = now + CHECK_S
                broken = stage.broken()
                if broken:
                    return course, broken
            if now >= limit:
                return course, [f"the run did not end within {scenario.limit_s:.0f} s; see {stage.nucleus.root.logs}"]
    finally:
        view.close()


def _judge(scenario: Scenario, course: RunMonitor) -> list[str]:
    tally, problems = course.tally, []
    if course.faulty:
        return []
    if scenario.rows is not None and tally.rows != scenario.rows:
        problems.append(f"{tally.rows} rows were published where there are {scenario.rows}")
    if tally.gaps:
        problems.append(f"{many(tally.gaps, 'numbered message')} never came")
    if tally.unanswered:
        problems.append(f"{many(tally.unanswered, 'row')} without a result")
    if course.unreadable:
        problems.append(f"{many(course.unreadable, 'message')} could not be read")
    return problems + scenario.expect(tally)


def _faults(course: RunMonitor) -> list[str]:
    return [fault for component, faults in course.faults.items() for fault in faults if course.faulty or component == SOURCE]


def _conclude(
    arguments: argparse.Namespace,
    scenario: Scenario,
    course: RunMonitor,
    levels: tuple[float, float],
    problems: list[str],
    code: int,
    seconds: float,
) -> int:
    tally = course.tally
    remarks = [remark for remark in (onset_remark(scenario.onset, tally.raised), *_unanswered(tally)) if remark]
    # A failed run leaves the report of the last good one alone.
    path = Path(os.path.relpath(arguments.out / ("report-failed.html" if problems else "report.html")))
    counts: dict[str, Any] = {
        **summary(tally),
        "scenario": scenario.title,
        "as_expected": not problems,
        "problems": problems,
        "seconds": round(seconds, 1),
        "report": str(path),
    }
    command = shlex.join(["scripts/demo", *_repeat(arguments)])
    told = html_report.Run(
        scenario.title,
        command,
        levels,
        course.trace,
        tally,
        counts,
        tuple(problems),
        seconds,
        scenario.onset,
        tuple(remarks),
        scenario.pace,
        scenario.notes,
    )
    fresh = path.with_suffix(".html.new")
    fresh.write_text(html_report.render(told), encoding="utf-8")
    fresh.replace(path)
    if not problems:
        (arguments.out / "report-failed.html").unlink(missing_ok=True)
    for line in brief(counts):
        _say(f"  {line}")
    for remark in remarks:
        _say(remark)
    _say(f"{'Not as' if problems else 'As'} expected, in {seconds:.0f} s. The plots are in {path}.")
    for problem in problems:
        print(f"edgeml demo: {problem}", file=sys.stderr, flush=True)
    print(json.dumps(counts, ensure_ascii=False), flush=True)
    return code if problems else 0


def _unanswered(tally: Statistics) -> list[str]:
    return [
        f"The command {command.action} to {command.asset} was not acknowledged within {command.timeout_s:g} s."
        for command in tally.commands.values()
        if not command.status
    ]


def _levels(stage: NucleusSession) -> tuple[float, float]:
    policy = stage.configuration("com.edgeml.AlertDispatcher")["policy"]
    return float(policy["clear_at"]), float(policy["raise_at"])


def _scenario(arguments: argparse.Namespace) -> Scenario:
    if arguments.recording is not None:
        return recorded(arguments.recording)
    start_ns = time.time_ns() // SECOND * SECOND
    return simulated(arguments.fault, arguments.seed, start_ns, to_iso(start_ns), arguments.speed)


def _repeat(arguments: argparse.Namespace) -> list[str]:
    if arguments.recording is not None:
        return ["--recording", str(arguments.recording)]
    speed = [] if arguments.speed == SPEED else ["--speed", f"{arguments.speed:g}"]
    return ["--fault", arguments.fault, "--seed", str(arguments.seed), *speed]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="edgeml demo",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="A machine's sensors in, a TFLite verdict, an alert out: on a local nucleus, without an AWS account.",
    )
    made.add_argument("--fault", choices=tuple(FAULTS), default="valve", help="what happens to the simulated pump")
    made.add_argument("--seed", type=whole(0, 2**32 - 1), default=1, help="which simulated pump")
    made.add_argument("--speed", type=number(1, 1000), default=SPEED, help="event seconds a second of the simulated pump")
    made.add_argument("--recording", type=Path, metavar="FILE.csv", help="a recording in SKAB's layout instead, as fast as it goes")
    made.add_argument("--headless", action="store_true", help="plain lines instead of the live view")
    made.add_argument("--profile", choices=tuple(PROFILES), default="lite", help="which nucleus to stand in for")
    made.add_argument("--out", type=Path, default=ROOT / "build" / "demo", help="where the report, the logs and the nucleus are kept")
    return made


def _say(text: str) -> None:
    """A line for people: a terminal does not break it within a word, a file has it whole."""
    print(wrapped(text, shutil.get_terminal_size().columns, 2) if sys.stdout.isatty() else text, flush=True)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
