"""Injects seeded random faults into the deployed pipeline, in several concurrent runs, and sums up the outcome: `edgeml dev chaos`.

Exit code: 0: every invariant held; 1: one was violated; 2: the command line is wrong; 130: interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from edgeml_cli.build.package import ROOT, BuildError
from edgeml_cli.verify.chaos.broken_component import check_third_error
from edgeml_cli.verify.chaos.fault_schedule import NEEDS_PRELOAD
from edgeml_cli.verify.chaos.scenarios import SCENARIOS
from edgeml_cli.verify.chaos.workspace import Workspace, silence_gglocal
from gglocal.cli.arguments import number, whole
from gglocal.process.preload import compiler
from gglocal.profile import PROFILES

MAXIMA = ("longest_silence_s",)
"""Figures of which the maximum over all runs is reported; all others are summed."""


class Runs:
    """The runs of one call. Each is a separate process, so that a hang or a crash does not affect the others."""

    def __init__(self, place: Workspace, seconds: float) -> None:
        self._place, self._seconds = place, seconds
        self._print_lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()

    def say(self, line: str) -> None:
        with self._print_lock:
            print(line, flush=True)

    def run(self, seed: int, scenario: str = "") -> dict[str, Any]:
        """Run a seed or a scenario; returns the result that `edgeml_cli.verify.chaos.run` prints."""
        seconds, label = (SCENARIOS[scenario].seconds, scenario) if scenario else (self._seconds, f"seed {seed:3d}")
        command = [sys.executable, "-m", "edgeml_cli.verify.chaos.run", "--seed", str(seed), "--seconds", str(seconds)]
        command += ["--scenario", scenario] if scenario else []
        process = subprocess.Popen(
            [*command, "--profile", self._place.profile, "--place", str(self._place.path)], stdout=subprocess.PIPE, text=True
        )
        self._running.add(process)
        last = ""
        try:
            assert process.stdout is not None
            for line in process.stdout:
                last = line.rstrip("\n")
                if not last.startswith("{"):
                    self.say(last)
        finally:
            process.wait()
            self._running.discard(process)
        try:
            result: dict[str, Any] = json.loads(last)
        except ValueError:
            sentence = f"the run ended with exit code {process.returncode} without a result"
            result = {"seed": seed, "faults": {}, "figures": {}, "violations": [[seconds, sentence]]}
        for at_s, sentence in result["violations"]:
            self.say(f"{label}  VIOLATED at {at_s:.1f} s: {sentence}")
        figures = result["figures"]
        self.say(
            f"{label}  done: {sum(result['faults'].values())} faults, {figures.get('alarms', 0)} alarms, longest silence "
            f"{figures.get('longest_silence_s', 0)} s, {len(result['violations'])} violations"
        )
        return result

    def check_third_error(self) -> str:
        """Run the check of `edgeml_cli.verify.chaos.broken_component`."""
        wrong = check_third_error(self._place, "third-error")
        self.say(f"VIOLATED: {wrong}" if wrong else "third error: the component is BROKEN, as expected")
        return wrong

    def terminate(self) -> None:
        """Terminate the runs in progress; each nucleus stops its components."""
        for process in list(self._running):
            process.terminate()


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code."""
    arguments = parser().parse_args(argv)
    silence_gglocal()
    begun = time.monotonic()
    place = Workspace(arguments.out.absolute(), arguments.profile)
    runs = Runs(place, arguments.minutes * 60)
    try:
        place.set_up(runs.say)
    except (BuildError, OSError) as fault:
        print(f"edgeml dev chaos: {fault}", file=sys.stderr)
        return 2
    if compiler() is None:
        runs.say(f"Skipping the faults {' and '.join(NEEDS_PRELOAD)}: they need a C compiler, and cc is not installed.")
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        try:
            third = pool.submit(runs.check_third_error)
            planned = [name for name, each in SCENARIOS.items() if compiler() is not None or not each.shim]
            by_hand = [pool.submit(runs.run, seeds[0], name) for name in planned]
            results = list(pool.map(runs.run, seeds)) + [each.result() for each in by_hand]
            wrong = third.result()
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            runs.terminate()
            print("edgeml dev chaos: interrupted; all processes have been stopped", file=sys.stderr)
            return 130
    summary = total(results) | {
        "third_error_is_broken": not wrong,
        "profile": arguments.profile,
        "seeds": [seeds[0], seeds[-1]],
        "scenarios": planned,
        "minutes_per_seed": arguments.minutes,
        "seconds": round(time.monotonic() - begun, 1),
    }
    print(json.dumps(summary), flush=True)
    return 1 if summary["violations"] or wrong else 0


def total(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The combined figures of all runs."""
    faults: Counter[str] = Counter()
    figures: dict[str, float] = {}
    for result in results:
        faults.update(result["faults"])
        for name, value in result["figures"].items():
            figures[name] = max(figures.get(name, 0), value) if name in MAXIMA else figures.get(name, 0) + value
    return {
        "runs": len(results),
        "faults": faults.total(),
        "faults_by_kind": dict(sorted(faults.items())),
        **figures,
        "violations": sum(len(result["violations"]) for result in results),
    }


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="edgeml dev chaos",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="The deployed pipeline under seeded random faults, compared with what ought to come out.",
    )
    made.add_argument("--seeds", type=whole(1, 10**6), default=2, help="how many runs, each with the next seed")
    made.add_argument("--seed", type=whole(0, 2**32 - 1), default=1, help="the first seed; the same one gives the same faults again")
    made.add_argument("--minutes", type=number(0.4, 10**6), default=2.0, help="how long each run is disturbed")
    made.add_argument("--profile", choices=tuple(PROFILES), default="lite", help="which nucleus to stand in for")
    made.add_argument("--jobs", type=whole(1, 1000), default=os.cpu_count() or 1, help="runs at a time")
    made.add_argument("--out", type=Path, default=ROOT / "build" / "chaos", help="where the nuclei, their logs and the packages are kept")
    return made


if __name__ == "__main__":
    sys.exit(main())
